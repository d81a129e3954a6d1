"""Tags of dashboards (API_PutDashboard)."""

from typing import Any

from moto.cloudwatch.models import CloudWatchBackend
from moto.cloudwatch.responses import CloudWatchResponse

_put_dashboard = CloudWatchResponse.put_dashboard
_tag_metric_resource = CloudWatchBackend.tag_resource


def patch() -> None:
    CloudWatchResponse.put_dashboard = _put_dashboard_with_tags
    CloudWatchBackend.tag_resource = _tag_dashboard


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
