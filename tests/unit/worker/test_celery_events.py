"""What Celery's events may say."""

from worker.celery_events import SHOWN_QUEUE, shown

SENT = {
    "uuid": "0e3f7d8a",
    "name": "wearon.generate",
    "args": '(\'{"image_urls": ["https://project.example/p.jpg?token=s3cret"]}\',)',
    "kwargs": "{}",
    "retries": 0,
    "queue": "wearon.generation.7b1f3c52",
    "exchange": "",
    "routing_key": "wearon.generation.7b1f3c52",
}


def test_an_event_names_no_executors_queue_and_none_of_the_tasks_links() -> None:
    told = shown(SENT)
    assert told == {
        "uuid": "0e3f7d8a",
        "name": "wearon.generate",
        "retries": 0,
        "queue": SHOWN_QUEUE,
        "exchange": SHOWN_QUEUE,
        "routing_key": SHOWN_QUEUE,
    }
    assert "7b1f3c52" not in str(told)
    assert "s3cret" not in str(told)


def test_all_else_is_told_as_it_is() -> None:
    fields = {"uuid": "0e3f7d8a", "runtime": 1.5, "result": "None"}
    assert shown(fields) == fields
