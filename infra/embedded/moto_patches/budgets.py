"""Tags, updates and subscribers of budgets (API_budgets_UpdateBudget and others)."""

import json
from typing import Any

from moto.budgets.exceptions import NotFoundException
from moto.budgets.models import Budget
from moto.budgets.responses import BudgetsResponse


def patch() -> None:
    for operation in (
        _create_budget,
        _update_budget,
        _describe_subscribers_for_notification,
        _list_tags_for_resource,
        _tag_resource,
    ):
        setattr(BudgetsResponse, operation.__name__[1:], operation)


def _budget(response: Any, name: str) -> Budget:
    held = response.backend.budgets[response.current_account]
    if name not in held:
        raise NotFoundException(f"Unable to get budget: {name} - the budget doesn't exist.")
    found: Budget = held[name]
    return found


def _of_arn(response: Any) -> Budget:
    return _budget(response, response._get_param("ResourceARN").rpartition("/")[2])


def _create_budget(self: Any) -> str:
    budget = self._get_param("Budget")
    self.backend.create_budget(
        account_id=self._get_param("AccountId"),
        budget=budget,
        notifications=self._get_param("NotificationsWithSubscribers", []),
    )
    _budget(self, budget["BudgetName"]).tags = {tag["Key"]: tag["Value"] for tag in self._get_param("ResourceTags", [])}
    return "{}"


def _update_budget(self: Any) -> str:
    new = self._get_param("NewBudget")
    _budget(self, new["BudgetName"]).budget.update(new)
    return "{}"


def _describe_subscribers_for_notification(self: Any) -> str:
    wanted = self._get_param("Notification")
    for notification in _budget(self, self._get_param("BudgetName")).notifications:
        if notification.details == wanted:
            return json.dumps({"Subscribers": notification.subscribers})
    raise NotFoundException("Unable to get subscribers - the notification doesn't exist.")


def _list_tags_for_resource(self: Any) -> str:
    tags = getattr(_of_arn(self), "tags", {})
    return json.dumps({"ResourceTags": [{"Key": key, "Value": value} for key, value in tags.items()]})


def _tag_resource(self: Any) -> str:
    budget = _of_arn(self)
    new = {tag["Key"]: tag["Value"] for tag in self._get_param("ResourceTags")}
    budget.tags = {**getattr(budget, "tags", {}), **new}
    return "{}"
