"""Where alarms send their mail. There is one only where somebody gave an address."""

from collections.abc import Iterable
from typing import Any

from infra import aws_clients
from infra.provision.resource import EMAIL_TAG, Attributes, Resource, our_tags, tag_list

_GONE = ("NotFound", "NotFoundException", "ResourceNotFound", "ResourceNotFoundException")


class Topic(Resource):
    """An SNS topic with one subscriber, who confirms by a click in AWS's first mail."""

    kind = "mail"
    service = "sns"

    @property
    def arn(self) -> str:
        return self.names.topic_arn(self.region)

    def wanted(self, live: Attributes | None) -> Attributes | None:
        email = self.chosen(self.choices.email, EMAIL_TAG, live)
        if email is None:
            return None if live is None else {"tags": self.names.tags}
        subscribed = live["subscribers"] if live else []
        return {
            "tags": {**self.names.tags, EMAIL_TAG: email},
            "subscribers": sorted({email, *subscribed}),  # more of them are anybody's choice
        }

    def read(self) -> Attributes | None:
        if aws_clients.unless(_GONE, self.api.get_topic_attributes, TopicArn=self.arn) is None:
            return None
        tags = self.api.list_tags_for_resource(ResourceArn=self.arn)["Tags"]
        pages = self.api.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=self.arn)
        found = [one["Endpoint"] for page in pages for one in page["Subscriptions"] if one["Protocol"] == "email"]
        return {"tags": our_tags(self.names, tags), "subscribers": sorted(found)}

    def create(self, wanted: Attributes) -> Iterable[str]:
        self.api.create_topic(Name=self.names.topic, Tags=tag_list(wanted["tags"]))
        return ["tags"]

    def write(self, attribute: str, value: Any) -> None:
        if attribute == "tags":
            self.api.tag_resource(ResourceArn=self.arn, Tags=tag_list(value))
        elif attribute == "subscribers":
            for address in value:  # one who is subscribed already is left as is
                self.api.subscribe(TopicArn=self.arn, Protocol="email", Endpoint=address)

    def delete(self) -> None:
        aws_clients.unless(_GONE, self.api.delete_topic, TopicArn=self.arn)
