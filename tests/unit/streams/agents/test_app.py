"""What Faust is told follows the worker's settings."""

from pathlib import Path

from schemas.policy import DEFAULT_POLICY, PolicySchedule
from streams.agents.app import create_app
from streams.agents.consumer import BATCH_RECORDS
from streams.agents.settings import WorkerSettings
from streams.log.kafka import KafkaSettings
from tests.logs import PEPPER


async def test_the_buffer_before_the_agent_holds_no_more_records_than_the_settings_say(tmp_path: Path) -> None:
    settings = WorkerSettings(kafka=KafkaSettings("127.0.0.1:1"), data_dir=tmp_path, web_port=None)
    app = create_app(settings, PolicySchedule.of(DEFAULT_POLICY), PEPPER)
    assert 0 < app.conf.stream_buffer_maxsize * BATCH_RECORDS <= settings.buffer_records
