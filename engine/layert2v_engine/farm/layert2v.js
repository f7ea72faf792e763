// A job type of Flamenco: one whole shot a task, run by layert2v-farm. It belongs into the folder
// "scripts" of the Flamenco Manager.
const JOB_TYPE = {
    label: "LayerT2V shots",
    settings: [
        { key: "program", type: "string", required: true, description: "layert2v-farm on the workers" },
        { key: "shots_file", type: "string", required: true, subtype: "file_path",
          description: "The list that layert2v-farm submit wrote" },
        { key: "shots", type: "string", required: true, description: "Names of the shots, with spaces between" },
    ],
};

function compileJob(job) {
    const { program, shots_file, shots } = job.settings;
    for (const shot of shots.split(" ").filter(name => name)) {
        const task = author.Task(shot, "misc");
        task.addCommand(author.Command("exec", {
            exe: program,
            args: ["run", shots_file, "--shot", shot, "--progress", "percent"],
        }));
        job.addTask(task);
    }
}
