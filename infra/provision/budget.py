"""A monthly budget, if the user asks for one."""

from collections.abc import Iterable
from typing import Any

from infra.provision.resource import EMAIL_TAG, LIMIT_TAG, Attributes, Resource, tag_list, unless
from infra.provision.statements import TAGGING, Statement, allow

# When mail goes out: in per cent of the limit.
_MAILS = [("ACTUAL", 80.0), ("FORECASTED", 100.0)]

_GONE = ("NotFoundException",)


class Budget(Resource):
    """What the whole account may cost in a month. AWS sends mail; it never stops anything."""

    kind = "budget"
    service = "budgets"
    tag_members = "ResourceARN", "ResourceTags"
    name_format = "{prefix}-monthly-{region}"
    arn_format = "arn:{partition}:budgets::{account}:budget/{name}"

    def provisioner_permissions(self) -> list[Statement]:
        verbs = ("ModifyBudget", "ViewBudget", *TAGGING)
        return [allow("Budget", [f"budgets:{verb}" for verb in verbs], self.arn)]

    def wanted(self, live: Attributes | None) -> Attributes | None:
        limit = self.chosen(self.choices.budget, LIMIT_TAG, live)
        if limit is None:
            return None if live is None else {"tags": self.stack_id.tags}
        email = self.chosen(self.choices.email, EMAIL_TAG, live)
        tags = {**self.stack_id.tags, LIMIT_TAG: f"{float(limit):g}"}
        return {
            "tags": {**tags, EMAIL_TAG: email} if email else tags,
            "limit in USD": float(limit),
            "mails": [_mail(kind, percent, email) for kind, percent in _MAILS] if email else [],
        }

    def read(self) -> Attributes | None:
        found = unless(_GONE, self.api.describe_budget, **self._budget)
        if found is None:
            return None
        mails = [
            _mail(one["NotificationType"], one["Threshold"], to)
            for one in self._notifications()
            for to in self._to(one)
        ]
        return {
            "tags": self.tags(),
            "limit in USD": float(found["Budget"]["BudgetLimit"]["Amount"]),
            "mails": sorted(mails),
        }

    def create(self, wanted: Attributes) -> Iterable[str]:
        limit = {"Amount": f"{wanted['limit in USD']:g}", "Unit": "USD"}
        budget = {"BudgetName": self.name, "BudgetType": "COST", "TimeUnit": "MONTHLY", "BudgetLimit": limit}
        self.api.create_budget(AccountId=self.stack_id.account, Budget=budget, ResourceTags=tag_list(wanted["tags"]))
        return ["tags", "limit in USD"]

    def write(self, attribute: str, value: Any) -> None:
        if attribute == "limit in USD":
            budget = self.api.describe_budget(**self._budget)["Budget"]
            kept = {key: budget[key] for key in ("BudgetName", "BudgetType", "TimeUnit")}
            limit = {"Amount": f"{value:g}", "Unit": "USD"}
            self.api.update_budget(AccountId=self.stack_id.account, NewBudget=kept | {"BudgetLimit": limit})
        elif attribute == "mails":
            self._write_mails(value)

    def delete(self) -> None:
        unless(_GONE, self.api.delete_budget, **self._budget)

    @property
    def _budget(self) -> dict[str, str]:
        return {"AccountId": self.stack_id.account, "BudgetName": self.name}

    def _notifications(self) -> list[dict[str, Any]]:
        pages = self.api.get_paginator("describe_notifications_for_budget").paginate(**self._budget)
        return [notification for page in pages for notification in page["Notifications"]]

    def _to(self, notification: dict[str, Any]) -> list[str]:
        pages = self.api.get_paginator("describe_subscribers_for_notification").paginate(
            **self._budget, Notification=_key(notification)
        )
        return [one["Address"] for page in pages for one in page["Subscribers"]]

    def _write_mails(self, mails: list[str]) -> None:
        """Delete what is not among `mails`, create what is missing; each call can be repeated."""
        present = set()
        for notification in self._notifications():
            found = {
                _mail(notification["NotificationType"], notification["Threshold"], to) for to in self._to(notification)
            }
            if found <= set(mails):
                present |= found
            else:
                unless(_GONE, self.api.delete_notification, **self._budget, Notification=_key(notification))
        for mail in mails:
            if mail not in present:
                kind, percent, address = mail.split(" ")
                notification = {
                    "NotificationType": kind,
                    "ComparisonOperator": "GREATER_THAN",
                    "Threshold": float(percent.rstrip("%")),
                    "ThresholdType": "PERCENTAGE",
                }
                subscriber = {"SubscriptionType": "EMAIL", "Address": address}
                self.api.create_notification(**self._budget, Notification=notification, Subscribers=[subscriber])


def _mail(kind: str, percent: float, address: str) -> str:
    """ "ACTUAL 80% me@example.org"."""
    return f"{kind} {percent:g}% {address}"


def _key(notification: dict[str, Any]) -> dict[str, Any]:
    """What identifies a notification: all but its state."""
    return {key: value for key, value in notification.items() if key != "NotificationState"}
