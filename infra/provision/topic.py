"""The topic that alarms send mail to. It exists only if the user gave an address."""

from collections.abc import Iterable
from typing import Any

from infra.provision.resource import EMAIL_TAG, Attributes, Resource, tag_list, unless
from infra.provision.statements import TAGGING, Statement, allow

_GONE = ("NotFound", "NotFoundException", "ResourceNotFound", "ResourceNotFoundException")


class Topic(Resource):
    """An SNS topic with one subscriber, who confirms by a click in AWS's first mail."""

    kind = "mail"
    service = "sns"
    tag_members = "ResourceArn", "Tags"
    name_format = "{prefix}-alarms-{region}"
    arn_format = "arn:{partition}:sns:{region}:{account}:{name}"

    def provisioner_permissions(self) -> list[Statement]:
        verbs = ("CreateTopic", "DeleteTopic", "GetTopicAttributes", "Subscribe", "ListSubscriptionsByTopic")
        return [allow("Mail", [f"sns:{verb}" for verb in (*verbs, *TAGGING)], self.arn)]

    def wanted(self, live: Attributes | None) -> Attributes | None:
        email = self.chosen(self.choices.email, EMAIL_TAG, live)
        if email is None:
            return None if live is None else {"tags": self.stack_id.tags}
        subscribed = live["subscribers"] if live else []
        return {
            "tags": {**self.stack_id.tags, EMAIL_TAG: email},
            "subscribers": sorted({email, *subscribed}),  # others may be added by hand
        }

    def read(self) -> Attributes | None:
        if unless(_GONE, self.api.get_topic_attributes, TopicArn=self.arn) is None:
            return None
        pages = self.api.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=self.arn)
        found = [one["Endpoint"] for page in pages for one in page["Subscriptions"] if one["Protocol"] == "email"]
        return {"tags": self.tags(), "subscribers": sorted(found)}

    def create(self, wanted: Attributes) -> Iterable[str]:
        self.api.create_topic(Name=self.name, Tags=tag_list(wanted["tags"]))
        return ["tags"]

    def write(self, attribute: str, value: Any) -> None:
        for address in value:  # an address that is subscribed already stays as it is
            self.api.subscribe(TopicArn=self.arn, Protocol="email", Endpoint=address)

    def delete(self) -> None:
        unless(_GONE, self.api.delete_topic, TopicArn=self.arn)
