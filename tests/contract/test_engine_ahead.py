from multibuild.engine_ahead import EngineAskedAhead


def test_the_first_answers_are_asked_for_at_once_and_later_ones_anew(docker):
    docker.engine()
    engine = EngineAskedAhead()
    assert engine.info().buildx_version == "0.29.1"
    assert [builder.name for builder in engine.builders()] == ["default"]
    assert [call[1] for call in docker.calls()] == ["info", "ls"]
    engine.info()
    engine.builders()
    assert [call[1] for call in docker.calls()] == ["info", "ls", "info", "ls"]
