"""A data set: a folder with `faces.npy`, `table.csv` and `dataset.json`. Knows nothing about networks.

`faces.npy` is uint8 (N, S, S). `table.csv` has a row a face, in the same order:
id, label, split, source, group (the id of the first face with the same pixels) and, where
known, the person, annotator votes or other ground truth. A data set of clips has the columns clip, frame, seconds; its
faces are frames, and clip_label is the class of a clip where that of its frames is another. `dataset.json` holds the
side S, the ordered labels, the origin of the faces, the counts, and the sha256 of pixels and table. Where faces were
skipped, `left-out.csv` has a row for each: source and reason. `families.json` lists which faces are copies of any kind,
where `mien audit --store` has looked.
"""

from mien.dataset.faces import Annotations, Dataset, DatasetInfo, Development, Faces, Frames, Whole, units_of
from mien.dataset.files import COLUMNS, FAMILIES_FILE, LEFT_OUT_FILE, PERSON
from mien.dataset.reading import read_dataset, read_info, same_faces, standing
from mien.dataset.showing import about_sharing, left_out_line, read_left_out, summary
from mien.dataset.votes import class_votes, not_asked, vote_counts
from mien.dataset.writing import DatasetWriter, Row, write_families, writing_dataset
from mien.labels import SPLITS

__all__ = [
    "COLUMNS",
    "FAMILIES_FILE",
    "LEFT_OUT_FILE",
    "PERSON",
    "SPLITS",
    "Annotations",
    "Dataset",
    "DatasetInfo",
    "DatasetWriter",
    "Development",
    "Faces",
    "Frames",
    "Row",
    "Whole",
    "about_sharing",
    "class_votes",
    "left_out_line",
    "not_asked",
    "read_dataset",
    "read_info",
    "read_left_out",
    "same_faces",
    "standing",
    "summary",
    "units_of",
    "vote_counts",
    "write_families",
    "writing_dataset",
]
