"""One command brings up the whole stack, in order."""

from tests.infra.engine.rig import Rig


def test_everything_is_there(rig: Rig) -> None:
    rig.report.proved("engine", rig.docker("version", "--format", "{{.Server.Version}}"), stand_ins=())
