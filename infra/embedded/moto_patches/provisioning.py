"""Teaches moto the calls of provisioning that it leaves out or ignores parts of, as the services document them.

CreateBucket's tags (API_CreateBucketConfiguration), tags of dashboards (API_PutDashboard), the size of images
(API_ImageDetail), and of budgets their tags, updates and subscribers (API_budgets_UpdateBudget and its neighbours).
"""

import json
from typing import Any
from xml.etree import ElementTree as ET

from moto.budgets.exceptions import NotFoundException
from moto.budgets.models import Budget
from moto.budgets.responses import BudgetsResponse
from moto.cloudwatch.models import CloudWatchBackend
from moto.cloudwatch.responses import CloudWatchResponse
from moto.ecr.models import Image, ecr_backends
from moto.s3.responses import S3Response

_put_bucket = S3Response._bucket_response_put
_put_dashboard = CloudWatchResponse.put_dashboard
_tag_metric_resource = CloudWatchBackend.tag_resource


def fill_gaps() -> None:
    """Teach moto, in this process. A second call does nothing more."""
    S3Response._bucket_response_put = _put_bucket_with_tags
    CloudWatchResponse.put_dashboard = _put_dashboard_with_tags
    CloudWatchBackend.tag_resource = _tag_dashboard
    Image.get_image_size_in_bytes = _image_size
    for operation in (
        _create_budget,
        _update_budget,
        _describe_subscribers_for_notification,
        _list_tags_for_resource,
        _tag_resource,
    ):
        setattr(BudgetsResponse, operation.__name__[1:], operation)


def _put_bucket_with_tags(self: Any, request: Any, bucket_name: str, querystring: dict[str, Any]) -> Any:
    answer = _put_bucket(self, request, bucket_name, querystring)
    if not querystring and self.body:
        found = ET.fromstring(self.body).iterfind("{*}Tags/{*}Tag")
        tags = {tag.findtext("{*}Key"): tag.findtext("{*}Value") for tag in found}
        if tags:
            self.backend.put_bucket_tagging(bucket_name, tags)
    return answer


def _put_dashboard_with_tags(self: Any) -> Any:
    answer = _put_dashboard(self)
    tags = self._get_param("Tags", [])
    if tags:
        arn = self.cloudwatch_backend.get_dashboard(self._get_param("DashboardName")).arn
        self.cloudwatch_backend.tagger.tag_resource(arn, tags)
    return answer


def _tag_dashboard(self: Any, arn: str, tags: dict[str, str]) -> None:
    if any(dashboard.arn == arn for dashboard in self.dashboards.values()):
        self.tagger.tag_resource(arn, self.tagger.convert_dict_to_tags_input(tags))
    else:
        _tag_metric_resource(self, arn, tags)


def _image_size(self: Any) -> int | None:
    """Of a list of images it is that of the largest."""
    manifest = json.loads(self.image_manifest)
    if "manifests" in manifest:
        named = {one["digest"] for one in manifest["manifests"]}
        return max((_image_size(one) or 0 for one in _beside(self) if one.image_digest in named), default=None)
    parts = [*manifest.get("layers", ()), manifest.get("config", {})]
    return sum(int(part.get("size", 0)) for part in parts)


def _beside(image: Any) -> list[Any]:
    """The images of the same repository."""
    repositories = [one for held in ecr_backends[image.registry_id].values() for one in held.repositories.values()]
    return next((one.images for one in repositories if image in one.images), [])


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
