"""What PyInstaller packs beside mien's modules: models, recipes, pages; and what is imported by name alone."""

from PyInstaller.utils.hooks import collect_data_files

datas = collect_data_files("mien")
hiddenimports = ["mien.errors", "mien.predict"]  # of `from mien import Recognizer`
