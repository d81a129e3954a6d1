"""The registry of ECR: `docker push` and `docker pull`, and the images that jobs run."""
