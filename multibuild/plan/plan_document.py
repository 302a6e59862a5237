"""plan.json and `plan --json`. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from multibuild.json_types import as_json
from multibuild.plan.build_command import build_arguments
from multibuild.plan.plan import Plan
from multibuild.redact import redacted_arguments, redacted_values, redacted_words

if TYPE_CHECKING:
    from multibuild.config.gates.gate import Gate
    from multibuild.config.publishing.sign import Sign


def project_document(plans: Sequence[Plan]) -> dict[str, Any]:
    """Return the plans of several images as JSON types, each with its name."""
    images = [
        {"name": plan.name, **plan_document(plan), "built_from": dict(plan.dependencies)} for plan in plans
    ]
    for image in images:
        del image["schema"]
    return {"schema": 2, "images": images}


def plan_document(plan: Plan) -> dict[str, Any]:
    """Return the plan as JSON types, secrets by id, those in URLs redacted (docs/reference/commands.md)."""
    document: dict[str, Any] = redacted_values(
        {
            "schema": 1,
            "image": plan.image,
            "tags": list(plan.tags),
            "destinations": [target.repository for target in plan.targets[1:]],
            "fingerprint": plan.fingerprint,
            "assumed_host": plan.facts.assumed,
            "jobs": plan.jobs,
            "fail_fast": plan.fail_fast,
            "media_type": plan.media_type,
            "verify": plan.verify.content,
            "verify_ignore": list(plan.verify.ignore),
            **({"gates": [_gate(gate) for gate in plan.gates]} if plan.gates else {}),
            "to": plan.publish.to,
            **({"sign": _sign(plan.sign)} if plan.sign else {}),
            "omitted": [str(platform) for platform in plan.omitted],
            "platforms": [
                {
                    "platform": str(planned.platform),
                    "slug": planned.slug,
                    "required": planned.required,
                    "emulated": planned.emulated,
                    "node": planned.node.builder,
                    "driver": planned.node.driver,
                    "standby": [placement.node.builder for placement in planned.standby],
                    "staging": {"kind": planned.staging.kind, "reference": planned.staging.reference},
                    "timeout": planned.timeout,
                    "also_as": [str(platform) for platform in planned.entry.also_as],
                    "test": as_json(planned.test),
                    "command": ["docker", "buildx", *redacted_arguments(build_arguments(planned))],
                }
                for planned in plan.platforms
            ],
        }
    )
    return document


def _gate(gate: Gate) -> dict[str, Any]:
    """Return a gate's keys that say something; `timeout` in seconds, `max` in bytes, `growth` in percent."""
    program = {"run": redacted_words(gate.run), "timeout": gate.timeout_s} if gate.run is not None else {}
    limits = {key: value for key, value in (("max", gate.max), ("growth", gate.growth)) if value is not None}
    platforms = {"platforms": [str(platform) for platform in gate.platforms]} if gate.platforms else {}
    return {"name": gate.name, **program, **limits, **platforms, "required": gate.required}


def _sign(sign: Sign) -> dict[str, Any]:
    """Return how what is published is signed; a key's place only, never a key."""
    return {"with": sign.with_, "key": sign.key, "keyless": sign.keyless, "tlog": sign.tlog}
