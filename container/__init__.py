"""The training job inside the image: reads /opt/ml, trains one or many configurations, writes models and results."""
