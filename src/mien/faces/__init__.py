"""Faces: a picture in, boxes, landmarks and aligned crops out. Knows nothing about data sets or networks of ours.

finder = Finder()
for face in finder.find(picture):
    crop = align(picture, face, 48)
"""

from mien.faces.align import MARKS, TEMPLATE, UPRIGHT, align, grey, marks, similarity
from mien.faces.face import Face
from mien.faces.finder import Finder

__all__ = ["MARKS", "TEMPLATE", "UPRIGHT", "Face", "Finder", "align", "grey", "marks", "similarity"]
