// Carries whole jobs through Bentley's published clients, unchanged: node jobs.mjs CHECK. The last line on stdout is the result.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const { EMULATOR_URL: url, CLIENT_ID: clientId, CLIENT_SECRET: clientSecret, NPM_CLIENTS: packages, MODEL: model, ITWIN: itwin } = process.env;
const require = createRequire(`${packages}/client.js`);
const { ServiceAuthorizationClient } = require("@itwin/service-authorization");
const { CDMClient, ExtractionClient, ExtractionState, LogLevelEntry, MappingsClient } = require("@itwin/insights-client");

// This package exports components of a user interface only; its clients are modules of their own.
const load = (name) => import(pathToFileURL(`${packages}/node_modules/@itwin/changed-elements-react/lib/esm/clients/${name}.js`));
const { DiffJobClient } = await load("DiffJobClient");
const { ITwinIModelsClient } = await load("iTwinIModelsClient");

const accessToken = await new ServiceAuthorizationClient({ authority: url, clientId, clientSecret, scope: "itwin-platform" }).getAccessToken();
const getAccessToken = async () => accessToken;
const base = `${url}/grouping-and-mapping`;
const extractions = new ExtractionClient(base);
const imodels = new ITwinIModelsClient({ baseUrl: `${url}/imodels`, getAccessToken });
const diffs = new DiffJobClient({ baseUrl: `${url}/changedelements`, getAccessToken, iModelsClient: imodels });
const mappings = [{ id: "beams" }];
const scope = { iTwinId: itwin, iModelId: model };
const ENDLESS = 1e9;

async function control(path, body) {
  const response = await fetch(`${url}/emulator/${path}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  assert.ok(response.ok, await response.text());
}

async function toArray(iterator) {
  const found = [];
  for await (const one of iterator) found.push(one);
  return found;
}

const checks = {
  async extractionSucceeds() {
    await control("jobs/plans", { kind: "extraction", duration: ENDLESS, states: [["Running", 1]] });
    const started = await extractions.runExtraction(accessToken, { ...scope, mappings });
    assert.equal(started.state, ExtractionState.Running);
    assert.ok(!Number.isNaN(Date.parse(started.startedOn)));
    await control("jobs/finish", { job_id: started.id });
    assert.equal((await extractions.getExtractionStatus(accessToken, started.id)).state, ExtractionState.Succeeded);
    assert.deepEqual((await toArray(extractions.getIModelExtractionsIterator(accessToken, model, 1))).map((one) => one.id), [started.id]);
    const listed = await toArray(new MappingsClient(base).getMappingExtractionsIterator(accessToken, "beams"));
    assert.deepEqual(listed.map((one) => one.extractionId), [started.id]);
    const cdm = new CDMClient(base);
    const [entity] = (await cdm.getCDM(accessToken, "beams", started.id)).entities;
    const partition = await cdm.getCDMPartition(accessToken, "beams", started.id, entity.partitions[0].location);
    assert.equal((await partition.text()).split("\r\n")[0].split(",").length, entity.attributes.length);
  },

  async extractionFails() {
    const messages = Array.from({ length: 5 }, (_, number) => ({ message: `Group ${number}`, level: "warning" }));
    await control("jobs/plans", { kind: "extraction", outcome: "Failed", duration: 0, messages, error: "No such class." });
    const { id } = await extractions.runExtraction(accessToken, { ...scope, mappings });
    assert.equal((await extractions.getExtractionStatus(accessToken, id)).state, ExtractionState.Failed);
    const logs = await toArray(extractions.getExtractionLogsIterator(accessToken, id, 2));
    assert.equal(logs.filter((one) => one.level === LogLevelEntry.Warning).length, 5);
    assert.deepEqual([logs.at(-1).level, logs.at(-1).message], [LogLevelEntry.Error, "No such class."]);
  },

  async extractionIsRejected() {
    for (const [details, status] of [[{ iModelId: "unknown", mappings }, 404], [{ iModelId: model, mappings: [] }, 422]]) {
      const response = await extractions.runExtraction(accessToken, details).catch((reason) => reason);
      assert.equal(response.status, status);
      assert.ok((await response.json()).error.code);
    }
  },

  async diffSucceeds() {
    await control("jobs/plans", { kind: "changed-elements", duration: ENDLESS, states: [["Queued", 0.5], ["Started", 0.5]] });
    const [first, second] = await imodels.getChangesets({ iModelId: model });
    const ids = { startChangesetId: first.id, endChangesetId: second.id };
    const { comparisonJob } = await diffs.postComparisonJob({ ...scope, ...ids });
    assert.equal(comparisonJob.status, "Queued");
    await control("jobs/finish", { job_id: comparisonJob.jobId });
    for (const jobId of [comparisonJob.jobId, `${first.id}-${second.id}`]) {
      const done = await diffs.getComparisonJob({ ...scope, jobId });
      assert.equal(done.comparisonJob.status, "Completed");
      const { changedElements } = await diffs.getComparisonJobResult(done);
      assert.equal(changedElements.elements.length, changedElements.opcodes.length);
    }
    await diffs.deleteComparisonJob({ ...scope, jobId: `${first.id}-${second.id}` });
    const missing = await diffs.getComparisonJob({ ...scope, jobId: comparisonJob.jobId }).catch((reason) => reason);
    assert.equal(missing.code, "ComparisonNotFound");
  },

  async diffRunsAndFails() {
    await control("jobs/plans", { kind: "changed-elements", outcome: "Failed", duration: ENDLESS, states: [["Started", 1]], error: { message: "Too large.", code: "DiffTooLarge" } });
    const range = { startChangesetIndex: 1, endChangesetIndex: 2 };
    const { comparisonJob } = await diffs.postComparisonJob({ ...scope, ...range, diffingStrategy: "Basic" });
    assert.deepEqual([comparisonJob.status, comparisonJob.currentProgress, comparisonJob.maxProgress], ["Started", 0, 4]);
    await control("jobs/finish", { job_id: comparisonJob.jobId });
    const failed = await diffs.getComparisonJob({ ...scope, jobId: comparisonJob.jobId });
    assert.equal(failed.comparisonJob.status, "Failed");
    assert.equal(failed.comparisonJob.errorDetails.code, "DiffTooLarge");
    const conflict = await diffs.postComparisonJob({ ...scope, ...range, diffingStrategy: "Basic" }).catch((reason) => reason);
    assert.equal(conflict.code, "DiffJobAlreadyExists");
  },
};

await checks[process.argv[2]]();
console.log("passed");
