"""Deadline 10: the two files of a job for its CommandLine plug-in.

Format: the manual's "Manual Job Submission" and "Command Line" pages. A frame is a shot.
"""

from __future__ import annotations

from layert2v_engine.farm.bundle import Bundle, Job

JOB_FILE, PLUGIN_FILE = "job_info.job", "plugin_info.job"


def write_deadline(job: Job) -> Bundle:
    """Return job and plug-in file. Deadline has no field for memory: groups stand for it."""
    needs, shots = job.requirements, job.shots.shots
    info = {
        "Plugin": "CommandLine",
        "Name": job.shots.name,
        "Comment": f"LayerT2V, {len(shots)} shot(s), one a task",
        "UserName": job.user,
        "Frames": f"1-{len(shots)}",
        "ChunkSize": "1",
        "ConcurrentTasks": "1",
        "Priority": str(needs.priority),
        "Pool": needs.pool,
        "Group": needs.group,
        "LimitGroups": ",".join(needs.limits),
        **{f"OutputDirectory{number}": shot.out for number, shot in enumerate(shots)},
    }
    arguments = f"run <QUOTE>{job.shots_file}<QUOTE> --index <STARTFRAME> --progress percent"
    plugin = {
        "Executable": job.program,
        "Arguments": arguments,
        "StartupDirectory": str(job.folder),
        "SingleFramesOnly": "True",
        "ShellExecute": "False",
    }
    return Bundle(
        files={JOB_FILE: _lines(info), PLUGIN_FILE: _lines(plugin)},
        next_step=f"deadlinecommand {job.folder / JOB_FILE} {job.folder / PLUGIN_FILE}",
    )


def _lines(values: dict[str, str]) -> str:
    return "".join(f"{key}={value}\n" for key, value in values.items() if value)
