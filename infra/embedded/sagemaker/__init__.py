"""SageMaker: training jobs and tuning jobs, which run on this machine."""
