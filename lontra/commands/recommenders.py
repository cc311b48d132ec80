"""`lontra recommenders`: the algorithms installed, their options and sources."""

from __future__ import annotations

import click


@click.command("recommenders")
@click.argument("name", required=False)
def recommenders_command(name: str | None) -> None:
    """List the recommenders installed; with NAME, its options and source."""
    from tuner.registry import installed_recommenders, load_recommender

    if name is None:
        for entry in installed_recommenders():
            text = entry.summary if entry.error is None else f"BROKEN: {entry.error}"
            click.echo(f"{entry.name:14} {text}")
        return
    recommender = load_recommender(name)
    click.echo(f"{recommender.name}: {recommender.summary}\nSource: {recommender.source}\n")
    click.echo("Options (--option name=value):")
    for setting in recommender.settings_declared:
        click.echo(f"  {setting.name} = {setting.default}\n      {setting.help}")
