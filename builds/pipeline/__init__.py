"""The job of a build: `pipeline.py` runs its steps, `making.py` makes one image in a thread, `registries.py` is the ECR side."""
