"""The `lab` command: the lab from a terminal, for people and, with --json, for programs.

Parses and prints; everything is done by the session, the demo and the notebook runner. A LabError
is one sentence on standard error and exit code 1, never a traceback.
"""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lab_utils.errors import LabError

if TYPE_CHECKING:
    from lab_utils.session import Lab

app = typer.Typer(
    name="lab",
    help="Distributed ML inference, simulated, on Kubernetes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
Backend = Annotated[
    str | None,
    typer.Option("--backend", help="auto, kind, embedded or context:NAME (LAB_BACKEND)."),
]
Name = Annotated[str | None, typer.Option("--name", help="Name of the cluster (LAB_CLUSTER).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]


def _lab(backend: str | None, name: str | None) -> "Lab":
    from lab_utils.session import Lab
    from lab_utils.settings import load_settings

    return Lab(load_settings(backend=backend, cluster=name))


def _own(backend: str | None, name: str | None) -> "Lab":
    """Give a lab that is about to make something; on others' clusters a person is asked first."""
    lab = _lab(backend, name)
    if (intent := lab.backend.intent()) and sys.stdin.isatty() and not lab.backend.is_running():
        typer.confirm(f"{intent}. Go on?", abort=True, err=True)
    return lab


def _print_status(status: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(status, indent=1))
        return
    running = "running" if status["running"] else "not running"
    typer.echo(f"cluster {status['cluster']} on {status['backend']}: {running}")
    for kind in ("nodes", "pods"):
        for name, state in status[kind].items():
            typer.echo(f"  {kind[:-1]} {name}: {state}")


@app.command()
def up(backend: Backend = None, name: Name = None, as_json: AsJson = False) -> None:
    """Start the cluster, or attach to it."""
    _print_status(_own(backend, name).up(), as_json=as_json)


@app.command()
def down(backend: Backend = None, name: Name = None) -> None:
    """End the cluster and everything in it."""
    lab = _lab(backend, name)
    ended = lab.down()
    typer.echo(f"cluster {lab.settings.cluster}: {'ended' if ended else 'was not running'}")


@app.command()
def status(backend: Backend = None, name: Name = None, as_json: AsJson = False) -> None:
    """Say what is running."""
    _print_status(_lab(backend, name).status(), as_json=as_json)


@app.command()
def ensure(backend: Backend = None, name: Name = None, as_json: AsJson = False) -> None:
    """Bring the lab to its known state: cluster, image, workload; repairs what is broken."""
    _print_status(_own(backend, name).ensure(), as_json=as_json)


@app.command()
def reset(backend: Backend = None, name: Name = None, as_json: AsJson = False) -> None:
    """Delete the workload with its namespace and deploy it anew."""
    _print_status(_own(backend, name).reset(), as_json=as_json)


@app.command()
def kubeconfig(backend: Backend = None, name: Name = None) -> None:
    """Print the path for `kubectl --kubeconfig`."""
    typer.echo(str(_lab(backend, name).kubeconfig()))


@app.command()
def url(
    service: Annotated[str, typer.Argument(help="Name of the Service.")] = "inference",
    backend: Backend = None,
    name: Name = None,
) -> None:
    """Print the address at which a Service answers."""
    typer.echo(_lab(backend, name).url(service))


@app.command("export-logs")
def export_logs(
    folder: Annotated[Path, typer.Argument(help="Folder to write.")] = Path("logs"),
    backend: Backend = None,
    name: Name = None,
) -> None:
    """Write the logs of the cluster, its nodes and its pods into a folder."""
    typer.echo(str(_lab(backend, name).export_logs(folder)))


@app.command()
def doctor(backend: Backend = None, name: Name = None, as_json: AsJson = False) -> None:
    """Check this machine; each finding with its remedy. Exit code 1 if the lab cannot run."""
    table = _lab(backend, name).doctor()
    if as_json:
        typer.echo(table.to_json(orient="records", indent=1))
    else:
        for check, status, found, remedy in table.to_numpy():
            typer.echo(f"{status:4}  {check}: {found}" + (f"\n      {remedy}" if remedy else ""))
    if (table["status"] == "fail").any():
        raise typer.Exit(1)


@app.command()
def bundle(
    file: Annotated[Path, typer.Argument(help="The bundle.")] = Path("lab-bundle.tar"),
    load: Annotated[bool, typer.Option("--load", help="Use a bundle that is there.")] = False,
    without: Annotated[
        list[str] | None, typer.Option(help="Part to leave out; may be given more than once.")
    ] = None,
) -> None:
    """Pack the lab for machines without internet, or (--load) use such a bundle there."""
    from lab_utils.bundle.load import load_bundle
    from lab_utils.bundle.make import make_bundle
    from lab_utils.settings import load_settings

    if load:
        typer.echo("\n".join(load_bundle(load_settings(), file)))
    else:
        typer.echo(str(make_bundle(load_settings(), file, without or ())))


@app.command()
def demo(
    report: Annotated[Path, typer.Option(help="Folder to write.")] = Path("report"),
    backend: Annotated[str, typer.Option(help="kind or embedded.")] = "embedded",
    as_json: AsJson = False,
) -> None:
    """Run the main job: build, load, apply, fire, fail over, chart; ends with nothing running."""
    from lab_utils.demo import run_demo

    found = run_demo(report, backend=backend, say=_to_stderr)
    typer.echo(json.dumps(found.summary, indent=1) if as_json else "\n".join(found.findings))


@app.command()
def report(
    page: Annotated[Path, typer.Option(help="File to write.")] = Path("report/learner.html"),
) -> None:
    """Write one page from your predictions, verdicts and last runs."""
    from lab_utils.course import learner, pages

    typer.echo(str(pages.write_learner_page(learner.records(), _kept_runs(), page)))


def _kept_runs() -> list[Path]:
    return [Path(folder) for folder in _lab(None, None).history()["folder"]]


classroom = typer.Typer(help="For teachers: what a class has predicted and found.")
app.add_typer(classroom, name="class")


@classroom.callback()
def _classroom() -> None:
    """Keep `collect` a command of its own although it is the only one."""


@classroom.command()
def collect(
    folder: Annotated[Path, typer.Argument(help="With one learner.jsonl per learner.")],
    page: Annotated[Path, typer.Option(help="File to write.")] = Path("report/class.html"),
) -> None:
    """Pool the learners' files into one page and two tables; no names needed."""
    from lab_utils.course.pages import write_class_page

    typer.echo(str(write_class_page(folder, page)))


@app.command("run")
def run_notebooks(
    notebooks: Annotated[
        list[str] | None, typer.Argument(help="Such as 00 07; all if none.")
    ] = None,
    profile: Annotated[str | None, typer.Option(help="full or quick (LAB_PROFILE).")] = None,
    backend: Backend = None,
    save: Annotated[
        bool, typer.Option("--save", help="Write the outputs into the notebooks.")
    ] = False,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Run the others when one has failed.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run notebooks without a browser, top to bottom; stops at the first that fails.

    Says the time and the verdicts of each; of one that failed, its cell. Exit code 1 if any failed.
    """
    from lab_utils.notebooks import require_all, run_notebooks

    outcomes = run_notebooks(
        notebooks or [],
        profile=profile,
        backend=backend,
        save=save,
        keep_going=keep_going,
        say=_to_stderr,
    )
    if as_json:
        typer.echo(json.dumps([outcome.as_json() for outcome in outcomes], indent=1))
    require_all(outcomes)


def _to_stderr(line: str) -> None:
    typer.echo(line, err=True)


def main() -> None:
    """Run the command line; the entry point of `lab`."""
    try:
        app()
    except LabError as exc:
        _to_stderr(f"lab: {exc}")
        sys.exit(1)


if __name__ == "__main__":
    main()
