"""`metrobloc lab`: mutants of an application's rules, long simulations, and the pinned vectors, in a checkout."""

import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import click

from metrobloc.kernel.module import Module
from metrobloc.surface import cli
from metrobloc.surface.cli import Setting, fail, show_json, with_json
from metrobloc.surface.running import progress
from metrobloc.testing import mutants, vectors
from metrobloc.testing.simulate import Failed, Simulation, Story, simulate


def group(setting: Setting, stories: Mapping[str, Story]) -> click.Group:
    """Return the laboratory's commands."""

    @click.group("lab")
    def lab() -> None:
        """Try what an application's tests notice, and what happens in a city at random."""

    for make in (_mutate, _simulate, _vectors):
        lab.add_command(make(setting, stories))
    return lab


def _app(setting: Setting, name: str) -> Module:
    if name not in setting.modules:
        fail(f"There is no application {name}; there are {', '.join(setting.modules)}.", cli.USAGE)
    module: Module = setting.modules[name]
    return module


def _mutate(setting: Setting, stories: Mapping[str, Story]) -> click.Command:
    del stories

    @click.command("mutate")
    @click.argument("app")
    @click.option("--count", type=click.IntRange(1), default=50, show_default=True, help="How many mutants.")
    @click.option("--seed", type=int, default=1, show_default=True, help="Which ones.")
    @click.option(
        "--only", type=click.Choice(["generated", "all"]), default="all", help="Which of the app's tests run."
    )
    @with_json
    def mutate(*, app: str, count: int, seed: int, only: str, as_json: bool) -> None:
        """Change an application's rules in small ways, one at a time, and see which changes its tests notice."""
        module = _app(setting, app)
        found = mutants.mutants(module, count, seed)
        try:
            with progress("mutants", len(found), quiet=as_json) as done:
                verdicts = mutants.run(found, mutants.folder_of(module), only=only, told=lambda _: done(1))
        except RuntimeError as error:
            fail(str(error), cli.REFUSED)
        told = mutants.report(verdicts)
        if as_json:
            show_json(told)
            return
        click.echo(f"{app}: {told.caught} of {told.mutants} caught, {told.by_generated} by generated tests alone")
        for name, number in told.by.items():
            click.echo(f"{number:5} {name}")
        for one in told.survivors:
            click.echo(f"survivor: {one.module}, line {one.line}, {one.kind}\n{one.diff}")

    return mutate


def _simulate(setting: Setting, stories: Mapping[str, Story]) -> click.Command:
    @click.command("simulate")
    @click.option("--seeds", type=click.IntRange(1), default=20, show_default=True, help="How many runs.")
    @click.option("--first", type=click.IntRange(0), default=0, show_default=True, help="The first run's seed.")
    @click.option("--steps", type=click.IntRange(1), default=2000, show_default=True, help="How many blocks a run has.")
    @with_json
    def simulated(*, seeds: int, first: int, steps: int, as_json: bool) -> None:
        """Let all applications run together at random; a failing seed is the bug report."""
        active, plays = list(setting.modules.values()), list(stories.values())
        done, codes = Counter[str](), Counter[str]()
        try:
            with progress("steps", seeds * steps, quiet=as_json) as more:
                for seed in range(first, first + seeds):
                    run = simulate(active, seed, steps, plays)
                    done, codes = done + run.done, codes + run.codes
                    more(steps)
        except Failed as failed:
            fail(str(failed), cli.REFUSED)
        declared = [code for module in active for code in module.refusals]
        idle = [action.do for module in active for action in module.actions.values() if not done[action.do]]
        unmet = [code for code in declared if not codes[code]]
        if as_json:
            show_json({"codes": codes, "done": done, "never_done": idle, "never_refused": unmet})
            return
        click.echo(f"{seeds} runs of {steps} steps, {codes.total():,} transactions, {codes['ok']:,} ended well")
        click.echo(f"refusals met: {len(declared) - len(unmet)} of {len(declared)}; not: {', '.join(unmet) or 'none'}")
        click.echo(f"actions never done: {', '.join(idle) or 'none'}")

    return simulated


def _vectors(setting: Setting, stories: Mapping[str, Story]) -> click.Command:
    @click.command("vectors")
    @click.argument("apps", nargs=-1)
    @click.option("--write", is_flag=True, help="Pin what the code gives now; say why in the changelog.")
    @click.option("--place", type=click.Path(path_type=Path, file_okay=False), help="The folder of the pinned files.")
    @with_json
    def pinned(*, apps: tuple[str, ...], write: bool, place: Path | None, as_json: bool) -> None:
        """Compare what bytes, stories and rules give with what is pinned: of some applications, or of all."""
        folder = place or vectors.PLACE
        differing: list[str] = []
        for name in apps or setting.modules:
            app = _app(setting, name)
            made = vectors.files(vectors.needed(setting.modules, app, stories.get(name)), app, stories.get(name))
            other = vectors.differing(made, folder)
            differing += other
            for file in other if write else ():
                (folder / file).write_bytes(made[file])
        if as_json:
            show_json({"differing": differing, "written": write})
        else:
            what = "written" if write else "not as pinned; on purpose? --write pins them"
            click.echo(f"{', '.join(differing)}: {what}" if differing else "Everything is as pinned.")
        if differing and not write:
            raise click.exceptions.Exit(cli.REFUSED)

    return pinned


def steps_per_second(setting: Setting, stories: Mapping[str, Story], seconds: float) -> float:
    """Measure how many steps of the simulation of all applications a second of this machine holds."""
    steps, spent = 0, 0.0
    for seed in range(1_000_000):
        run = Simulation(setting.modules.values(), seed, list(stories.values()))
        begun = time.perf_counter()
        run.run(STEPS_MEASURED)
        spent += time.perf_counter() - begun
        steps += STEPS_MEASURED
        if spent >= seconds:
            break
    return steps / spent


STEPS_MEASURED = 500
