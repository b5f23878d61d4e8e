// The page: asks once for everything, then listens; while nothing can be heard, it asks again and again.

import { follow, read } from "./api.js";
import { prepareChart, showHistory } from "./chart.js";
import { find, write } from "./elements.js";
import { loadImages, prepareImages } from "./images.js";
import { showStatus, takeFill } from "./overview.js";
import { loadResolutions, takeResolution } from "./resolutions.js";
import { isWarming, loadJobs, prepareWarming, showFleet, takeJob } from "./warming.js";

const POLL_SECONDS = 3;
const CALM_SECONDS = 20; // while events arrive, what they do not tell is asked for this often
const STATUS_SECONDS = 2; // but for how far downloads are: no event tells each of their bytes
let isLive = false;
let isReached = false;

/** Ask for something soon, once, however often it is wanted. */
function soon(action, seconds) {
  let timer = 0;
  return () => {
    if (timer) return;
    timer = setTimeout(() => {
      timer = 0;
      quietly(action);
    }, seconds * 1000);
  };
}

const wrongs = new Map();

/** Load a part; what is wrong with it stands on top until it comes. */
async function quietly(part) {
  try {
    await part();
    isReached = true;
    wrongs.delete(part);
  } catch (error) {
    isReached = error.status !== undefined;
    wrongs.set(part, isReached ? `The proxy answers: ${error.message}` : "The proxy cannot be reached; what is shown is what was last known.");
  }
  const [wrong] = wrongs.values();
  find("trouble").hidden = wrong === undefined;
  if (wrong !== undefined) write(find("trouble"), wrong);
  showConnection();
}

async function loadStatus({ isPatient = false } = {}) {
  const status = await read("/status", {}, { isPatient });
  showFleet(status.fleet ?? []);
  showStatus(status);
}

const loadHistory = async () => showHistory(await read("/history", {}, { isPatient: false }));
const showImages = () => loadImages({ isPatient: false });
const showResolutions = () => loadResolutions({ isPatient: false });
const showJobs = () => loadJobs({ isPatient: false });
const PARTS = [loadStatus, loadHistory, showImages, showResolutions, showJobs];

function showConnection() {
  const [state, text] = !isReached ? ["off", "not reached"] : isLive ? ["live", "live"] : ["polling", `every ${POLL_SECONDS} s`];
  find("connection").dataset.state = state;
  write(find("connection"), text);
}

const statusSoon = soon(loadStatus, 1);
const imagesSoon = soon(showImages, 1.5);
const jobsSoon = soon(showJobs, 0.5);
const resolutionsSoon = soon(showResolutions, 0.5);

function event(name, told) {
  if (name === "fill") {
    if (takeFill(told)) {
      statusSoon();
      imagesSoon();
    }
  } else if (name === "resolution") {
    if (!takeResolution(told)) resolutionsSoon();
    statusSoon();
    imagesSoon();
  } else if (name === "warm") {
    if (!takeJob(told)) jobsSoon();
    if (!isWarming()) imagesSoon();
  } else if (name === "eviction") {
    statusSoon();
    imagesSoon();
  }
}

function state(isHeard) {
  if (isHeard && !isLive) for (const part of PARTS) quietly(part); // what happened meanwhile was not told
  isLive = isHeard;
  showConnection();
}

async function poll() {
  for (let round = 0; ; round += 1) {
    const isCalm = isLive && !isWarming();
    await new Promise((resolve) => setTimeout(resolve, (isCalm ? CALM_SECONDS : POLL_SECONDS) * 1000));
    if (document.hidden) continue;
    await Promise.all((isLive && !isCalm ? [showJobs] : PARTS).map(quietly));
  }
}

async function pollStatus() {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, STATUS_SECONDS * 1000));
    if (isLive && !document.hidden) await quietly(loadStatus);
  }
}

prepareChart();
prepareImages();
prepareWarming();
try {
  await loadStatus({ isPatient: true }); // asks for the token, once, where reading needs it
} catch {
  // What is wrong is told below.
}
for (const part of PARTS) quietly(part);
follow({ event, state });
poll();
pollStatus();
