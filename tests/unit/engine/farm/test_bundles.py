"""Jobs as files: each in the form that its manager documents."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from openjd.model import decode_job_template

from layert2v_engine.farm.bundle import Job
from layert2v_engine.farm.deadline import write_deadline
from layert2v_engine.farm.flamenco import write_flamenco
from layert2v_engine.farm.opencue import write_opencue
from layert2v_engine.farm.openjd import write_openjd
from layert2v_engine.farm.requirements import Requirements
from layert2v_engine.farm.shots import Shot, ShotList, ShotsError

SHOTS = ShotList(
    name="seq010",
    shots=tuple(
        Shot(name=name, command=("generate", "a fox"), out=f"/mnt/{name}") for name in ("a", "b-2")
    ),
)
NEEDS = Requirements(
    gpus=1, gpu_memory_gib=24, memory_gib=32.5, cores=4, limits=("layert2v",), pool="gpu"
)
JOB = Job(
    shots=SHOTS,
    requirements=NEEDS,
    folder=Path("/mnt/my jobs/seq010"),
    program="/opt/l/layert2v-farm",
    user="anna",
)
# The order of a layer's elements in cjsl-1.13.dtd, as far as they are written.
LAYER_ORDER = (
    *("cmd", "range", "chunk", "cores", "threadable", "memory", "gpus", "gpu_memory"),
    *("timeout", "timeout_llu", "tags", "limits", "env", "services"),
)


def test_the_openjd_template_is_valid_and_has_a_task_for_each_shot() -> None:
    template = json.loads(write_openjd(JOB).files["template.json"])
    decoded = decode_job_template(template=template)
    step = decoded.steps[0]
    assert step.parameterSpace is not None
    assert list(step.parameterSpace.taskParameterDefinitions[0].range) == ["a", "b-2"]
    amounts = {
        each["name"]: each["min"] for each in template["steps"][0]["hostRequirements"]["amounts"]
    }
    assert amounts == {
        "amount.worker.vcpu": 4,
        "amount.worker.memory": 33280,
        "amount.worker.gpu": 1,
        "amount.worker.gpu.memory": 24576,
        "amount.layert2v": 1,
    }


def test_without_requirements_there_are_none() -> None:
    job = Job(shots=SHOTS, requirements=Requirements(), folder=JOB.folder, program="x", user="a")
    template = json.loads(write_openjd(job).files["template.json"])
    assert decode_job_template(template=template).steps[0].hostRequirements is None


def test_a_deadline_frame_is_a_shot() -> None:
    files = write_deadline(JOB).files
    info, plugin = (
        dict(line.split("=", 1) for line in files[name].splitlines())
        for name in ("job_info.job", "plugin_info.job")
    )
    assert (info["Plugin"], info["Frames"], info["ChunkSize"]) == ("CommandLine", "1-2", "1")
    assert (info["Pool"], info["LimitGroups"]) == ("gpu", "layert2v")
    assert "Group" not in info
    words = plugin["Arguments"].replace("<QUOTE>", '"').replace("<STARTFRAME>", "2")
    assert shlex.split(words)[1:4] == ["/mnt/my jobs/seq010/shots.json", "--index", "2"]


def test_the_opencue_specification_follows_its_dtd() -> None:
    root = ET.fromstring(write_opencue(JOB).files["job.xml"])  # noqa: S314  our own text
    assert [child.tag for child in root] == ["show", "shot", "user", "job"]
    job = root.find("job")
    assert job is not None
    assert [child.tag for child in job] == ["paused", "priority", "maxretries", "layers"]
    layer = job.find("layers/layer")
    assert layer is not None
    assert layer.attrib == {"name": "shots", "type": "Render"}
    tags = [child.tag for child in layer]
    assert tags == [tag for tag in LAYER_ORDER if tag in tags]
    values = {child.tag: child.text for child in layer}
    assert (values["range"], values["memory"], values["gpu_memory"]) == ("1-2", "32.5g", "24g")
    command = shlex.split(str(values["cmd"]).replace("#IFRAME#", "2"))
    assert command[1:5] == ["run", "/mnt/my jobs/seq010/shots.json", "--index", "2"]


def test_the_flamenco_job_type_makes_a_task_for_each_shot() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node, which runs the job type, is not installed")
    files = write_flamenco(JOB).files
    program = """
        const author = {
            Task: (name, type) => ({
                name, type, commands: [], addCommand(c) { this.commands.push(c); },
            }),
            Command: (name, parameters) => ({name, parameters}),
        };
        const job = {...JSON.parse(process.argv[1]), tasks: [], addTask(t) { this.tasks.push(t); }};
        const known = JOB_TYPE.settings.map(s => s.key).sort();
        if (known.join() !== Object.keys(job.settings).sort().join()) throw "other settings";
        compileJob(job);
        console.log(JSON.stringify(job.tasks));
    """
    done = subprocess.run(
        [node, "-e", files["layert2v.js"] + program, files["job.json"]],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    tasks = json.loads(done.stdout)
    assert [task["name"] for task in tasks] == ["a", "b-2"]
    command = tasks[1]["commands"][0]
    assert command["name"] == "exec"
    assert command["parameters"]["args"][:4] == ["run", JOB.shots_file, "--shot", "b-2"]


@pytest.mark.parametrize(
    "needs",
    [
        Requirements(gpus=-1),
        Requirements(priority=101),
        Requirements(gpu_memory_gib=8),
        Requirements(pool="a\nPlugin=Evil"),
        Requirements(limits=("a,b",)),
    ],
)
def test_requirements_that_no_farm_has_are_refused(needs: Requirements) -> None:
    with pytest.raises(ShotsError):
        needs.check()
