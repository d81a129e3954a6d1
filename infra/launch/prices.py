"""Prices of instances: an estimate for one region, without taxes, storage and discounts.

On-demand prices of SageMaker training in us-east-1, in US dollars per hour, collected in November 2026 from
published answers of AWS's Price List API (AmazonSageMaker, usage type USE1-Train:TYPE), with their dates:

- us-east-1, training: ml.g5.2xlarge to 12xlarge 2026-07-02, ml.m5.large 2026-08-11, ml.g5.2xlarge again 2026-08-20;
- us-west-2, training: all of ml.g5, ml.g6 and ml.g6e, 2026. Where us-east-1 is known too, the price is the same;
- us-west-2, Studio: ml.m5 to 4xlarge, ml.c5 to 2xlarge, ml.g4dn to 2xlarge, 2026-09-01;
- copies of AWS's price page, which agree with these: the other ml.g4dn, ml.c5.9xlarge.

Prices found only in tables without source or date are UNCONFIRMED, and the estimate says so.
https://aws.amazon.com/sagemaker/ai/pricing has today's prices, for all regions.
"""

AS_OF = "2026-09"
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
    "ml.g4dn.xlarge": 0.7364,
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
    "ml.g5.16xlarge": 5.12,
    "ml.g5.24xlarge": 10.18,
    "ml.g5.48xlarge": 20.36,
    "ml.g6.xlarge": 1.127,
    "ml.g6.2xlarge": 1.222,
    "ml.g6.4xlarge": 1.654,
    "ml.g6.8xlarge": 2.518,
    "ml.g6.12xlarge": 5.752,
    "ml.g6.24xlarge": 8.344,
    "ml.g6.48xlarge": 16.688,
    "ml.g6e.xlarge": 2.61,
    "ml.g6e.2xlarge": 2.8,
    "ml.g6e.4xlarge": 3.76,
    "ml.g6e.8xlarge": 5.66,
    "ml.g6e.12xlarge": 13.12,
    "ml.g6e.24xlarge": 18.83,
    "ml.g6e.48xlarge": 37.66,
    "ml.p3.2xlarge": 3.825,
    "ml.p3.8xlarge": 14.688,
    "ml.p3.16xlarge": 28.152,
}

UNCONFIRMED = {
    "ml.m5.12xlarge",
    "ml.m5.24xlarge",
    "ml.c5.4xlarge",
    "ml.c5.18xlarge",
    # The list of us-west-2 no longer has these.
    "ml.p3.2xlarge",
    "ml.p3.8xlarge",
    "ml.p3.16xlarge",
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
    known = "not confirmed by AWS's price list" if instance_type in UNCONFIRMED else f"as of {AS_OF}"
    text = f"an estimate: {instance_type} at ${price:g} an hour ({REGION}, on demand, {known})"
    return text + (f", and {USUAL_SPOT_SHARE:.0%} of that for spot" if spot else "")
