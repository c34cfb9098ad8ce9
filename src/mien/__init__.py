"""mien trains, judges and ships recognizers of facial expression.

Importing it does nothing. Every command has a room of the same name and, in it, a function of
the same name: `from mien.judge import judge`.
"""

__version__ = "0.1.0"
