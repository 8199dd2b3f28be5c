"""News in files: found by name or pattern, opened by content, read and written bit by bit."""

from transforms.files.write import AppendToFile, WriteLines, WriteToFile, to_line

__all__ = ["AppendToFile", "WriteLines", "WriteToFile", "to_line"]
