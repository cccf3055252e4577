// What the page asks of the program. Each failure is an Error with one sentence.
const GONE = "The program on this machine does not answer; is it still running?";
const MB = 1e6;

export async function facts() {
  return answered(await asked("facts"));
}

export async function sendStudy(files, most) {
  const size = files.reduce((total, file) => total + file.size, 0);
  if (size > most) {
    const what = files.length === 1 ? files[0].name : `${files.length} files`;
    throw new Error(`${what}: ${(size / MB).toFixed(0)} MB, more than the ${(most / MB).toFixed(0)} MB that a study may have here.`);
  }
  const form = new FormData();
  for (const file of files) form.append("files", file, file.name);
  return answered(await asked("studies", { method: "POST", body: form }));
}

export async function openExample(number) {
  return answered(await asked(`examples/${number}`, { method: "POST" }));
}

// Gradio's queue: a call has an id, under which its answers come as events.
export async function describe(study, how, before, onText) {
  const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ data: [study, how, before] }) };
  const { event_id: id } = await answered(await asked("gradio_api/call/describe", options));
  return new Promise((resolve, reject) => {
    const events = new EventSource(`gradio_api/call/describe/${id}`);
    const end = (act, value) => { events.close(); act(value); };
    const take = (event) => {
      const [told] = JSON.parse(event.data);
      if (told.text !== undefined) onText(told.text);
      if (told.error) end(reject, new Error(told.error));
      if (told.shown) end(resolve, told.shown);
    };
    events.addEventListener("generating", take);
    events.addEventListener("complete", take);
    events.addEventListener("error", () => end(reject, new Error(GONE)));
  });
}

export function download(study, how, name) {
  return `cases/${study}/${name}?${new URLSearchParams(how)}`;
}

async function asked(path, options) {
  try {
    return await fetch(path, options);
  } catch {
    throw new Error(GONE);
  }
}

async function answered(response) {
  const told = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(told.error || GONE);
  return told;
}
