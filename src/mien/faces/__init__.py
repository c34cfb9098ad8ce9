"""Faces: a picture in, boxes, landmarks and aligned crops out. Knows nothing about data sets or networks of ours.

finder = Finder()
for face in finder.find(picture):
    crop = align(picture, face, 48)
"""

from mien.faces.align import TEMPLATE, align, grey, similarity
from mien.faces.face import Face
from mien.faces.finder import Finder

__all__ = ["TEMPLATE", "Face", "Finder", "align", "grey", "similarity"]
