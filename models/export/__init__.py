"""Makes bundles of models that come from elsewhere: checkpoints, and models of Spark NLP."""
