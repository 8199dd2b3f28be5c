"""How the models that come with newsbeam came to be: from AG News and MiniLM to bundles."""
