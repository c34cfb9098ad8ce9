"""Where PyInstaller finds what a frozen program needs of mien: its entry point `pyinstaller40` names `hook_dirs`."""

from pathlib import Path


def hook_dirs() -> list[str]:
    """Return the folders of hooks, as PyInstaller asks."""
    return [str(Path(__file__).parent)]
