"""What an instance costs. An estimate, for one region, without taxes, storage and discounts.

On-demand prices of SageMaker training in us-east-1, in US dollars per hour. The table was not compared with AWS's own:
https://aws.amazon.com/sagemaker/ai/pricing has today's, for all regions.
"""

AS_OF = "2025-06"
REGION = "us-east-1"

USD_PER_HOUR = {
    "ml.m5.large": 0.115,
    "ml.m5.xlarge": 0.23,
    "ml.m5.2xlarge": 0.461,
    "ml.m5.4xlarge": 0.922,
    "ml.m5.12xlarge": 2.765,
    "ml.m5.24xlarge": 5.53,
    "ml.c5.xlarge": 0.204,
    "ml.c5.2xlarge": 0.408,
    "ml.c5.4xlarge": 0.816,
    "ml.c5.9xlarge": 1.836,
    "ml.c5.18xlarge": 3.672,
    "ml.g4dn.xlarge": 0.736,
    "ml.g4dn.2xlarge": 0.94,
    "ml.g4dn.4xlarge": 1.505,
    "ml.g4dn.8xlarge": 2.72,
    "ml.g4dn.12xlarge": 4.89,
    "ml.g4dn.16xlarge": 5.44,
    "ml.g5.xlarge": 1.408,
    "ml.g5.2xlarge": 1.515,
    "ml.g5.4xlarge": 2.03,
    "ml.g5.8xlarge": 3.06,
    "ml.g5.12xlarge": 7.09,
    "ml.g5.48xlarge": 20.36,
    "ml.p3.2xlarge": 3.825,
    "ml.p3.8xlarge": 14.688,
    "ml.p3.16xlarge": 28.152,
}

#: Managed spot training is billed for less time; how much less changes from hour to hour. AWS says up to 90 %.
USUAL_SPOT_SHARE = 0.4
#: Starting an instance and fetching the image take about this long, and are billed.
STARTING_SECONDS = 180


def usd(instance_type: str, seconds: float) -> float | None:
    """What `seconds` on demand cost, or None for an instance type that is not in the table."""
    price = USD_PER_HOUR.get(instance_type)
    return None if price is None else price * seconds / 3600


def note(instance_type: str, spot: bool) -> str:
    """The price behind an estimate, in words."""
    price = USD_PER_HOUR.get(instance_type)
    if price is None:
        return f"the price of {instance_type} is not in the table of {AS_OF}"
    told = f"an estimate: {instance_type} at ${price:g} an hour ({REGION}, on demand, as of {AS_OF})"
    return told + (f", and {USUAL_SPOT_SHARE:.0%} of that for spot" if spot else "")
