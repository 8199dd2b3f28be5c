"""The steps of the pipeline, each usable in anyone's own Beam pipeline."""
