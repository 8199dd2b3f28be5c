"""Beam's runners, as newsbeam uses them: one module or room each, found by `--runner`."""
