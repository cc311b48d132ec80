"""`lontra targets`: what can be tuned here, and what each kind of target lets one set."""

from __future__ import annotations

import click

from targets.settings import Setting


@click.command("targets")
@click.argument("name", required=False)
def targets_command(name: str | None) -> None:
    """List the kinds of targets installed; with NAME, its settings.

    \b
    Examples:
      lontra targets
      lontra targets sqlite
    """
    from targets.registry import installed_adapters, load_adapter

    if name is None:
        for entry in installed_adapters():
            text = entry.summary if entry.error is None else f"BROKEN: {entry.error}"
            click.echo(f"{entry.name:14} {text}")
        return
    adapter = load_adapter(name)
    click.echo(f"{adapter.kind}: {adapter.summary}\n\nSettings (--set name=value):")
    for setting in adapter.settings_declared:
        click.echo(f"  {setting.name} = {setting.default}{_range(setting)}\n      {setting.help}")


def _range(setting: Setting) -> str:
    unit = f" {setting.unit}" if setting.unit else ""
    if setting.choices:
        return f"{unit}   [{', '.join(map(str, setting.choices))}]"
    if setting.low is not None or setting.high is not None:
        low = "" if setting.low is None else f"{setting.low:g}"
        high = "" if setting.high is None else f"{setting.high:g}"
        return f"{unit}   [{low}..{high}]"
    return unit
