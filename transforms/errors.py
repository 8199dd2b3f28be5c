"""What is raised when something was configured wrongly."""


class ConfigurationError(ValueError):
    """A setting that cannot work. Its message is one line: the value, and the fix."""
