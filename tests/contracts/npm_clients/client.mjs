// Uses the emulator through Bentley's published clients, unchanged: node client.mjs CHECK. The last line on stdout is the result.
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const { EMULATOR_URL: url, CLIENT_ID: clientId, CLIENT_SECRET: clientSecret, NPM_CLIENTS: packages, MODEL: model, ITWIN: itwin } = process.env;
const require = createRequire(`${packages}/client.js`);
const { ServiceAuthorizationClient } = require("@itwin/service-authorization");
const {
  CheckpointState,
  IModelsClient,
  IModelsErrorCode,
  IModelState,
  NamedVersionState,
  OrderByOperator,
  ChangesetOrderByProperty,
  NamedVersionOrderByProperty,
  UserOrderByProperty,
  take,
  toArray,
} = require("@itwin/imodels-client-management");
const { ITwinsAccessClient, ITwinClass, ITwinSubClass } = require("@itwin/itwins-client");

const signIn = (scope) => new ServiceAuthorizationClient({ authority: url, clientId, clientSecret, scope });
const accessToken = await signIn("itwin-platform").getAccessToken();
const authorization = async () => ({ scheme: "Bearer", token: accessToken.split(" ")[1] });
const imodels = new IModelsClient({ api: { baseUrl: `${url}/imodels` } });
const itwins = new ITwinsAccessClient(`${url}/itwins`);
const inModel = { authorization, iModelId: model };
const newestFirst = { property: ChangesetOrderByProperty.Index, operator: OrderByOperator.Descending };

async function rejects(promise, code, statusCode) {
  const error = await promise.then(() => assert.fail(`expected ${code}`), (reason) => reason);
  assert.equal(error.code, code, error.message);
  assert.equal(error.statusCode, statusCode, error.message);
  return error;
}

const checks = {
  async tokens() {
    assert.match(accessToken, /^Bearer /);
    assert.match(await signIn("imodels:read  synchronization:modify").getAccessToken(), /^Bearer /);
    await assert.rejects(signIn("openid").getAccessToken());
  },

  async imodels() {
    const first = await imodels.iModels.createEmpty({ authorization, iModelProperties: { iTwinId: itwin, name: "new one", description: "d" } });
    assert.equal(first.state, IModelState.Initialized);
    assert.equal((await first.getCreator()).displayName, clientId);
    await rejects(imodels.iModels.createEmpty({ authorization, iModelProperties: { iTwinId: itwin, name: "new one" } }), IModelsErrorCode.IModelExists, 409);
    const invalid = imodels.iModels.createEmpty({ authorization, iModelProperties: { iTwinId: itwin, name: "x", description: "y".repeat(256) } });
    const { details } = await rejects(invalid, IModelsErrorCode.InvalidIModelsRequest, 422);
    assert.deepEqual(details.map((one) => [one.code, one.target]), [[IModelsErrorCode.InvalidValue, "description"]]);
    const waited = await imodels.iModels.createEmpty({ authorization, iModelProperties: { iTwinId: itwin, name: "waited for", creationMode: "empty" } });
    assert.equal(waited.state, IModelState.Initialized);
    const templated = await imodels.iModels.createFromTemplate({ authorization, iModelProperties: { iTwinId: itwin, name: "templated", template: { iModelId: model } } });
    const clone = await imodels.iModels.clone({ ...inModel, iModelProperties: { iTwinId: itwin, name: "clone", changesetIndex: 1 } });
    const fork = await imodels.iModels.fork({ ...inModel, iModelProperties: { iTwinId: itwin, name: "fork" } });
    const lengths = [];
    for (const { id } of [templated, clone, fork]) lengths.push((await toArray(imodels.changesets.getMinimalList({ authorization, iModelId: id }))).length);
    assert.deepEqual(lengths, [0, 1, 0]);
    assert.equal((await imodels.operations.getCreateIModelDetails({ authorization, iModelId: clone.id })).clonedFrom.iModelId, model);
    const extent = { southWest: { latitude: 1, longitude: 2 }, northEast: { latitude: 3, longitude: 4 } };
    const renamed = await imodels.iModels.update({ authorization, iModelId: first.id, iModelProperties: { name: "renamed", extent } });
    assert.deepEqual([renamed.name, renamed.extent], ["renamed", extent]);
    const found = await toArray(imodels.iModels.getRepresentationList({ authorization, urlParams: { iTwinId: itwin, name: "renamed" } }));
    assert.deepEqual(found.map((one) => one.id), [first.id]);
    const paged = await toArray(imodels.iModels.getMinimalList({ authorization, urlParams: { iTwinId: itwin, $top: 2 } }));
    assert.equal(new Set(paged.map((one) => one.id)).size, 6);
    await imodels.iModels.delete({ authorization, iModelId: first.id });
    await rejects(imodels.iModels.getSingle({ authorization, iModelId: first.id }), IModelsErrorCode.IModelNotFound, 404);
    await rejects(toArray(imodels.iModels.getMinimalList({ authorization, urlParams: { iTwinId: "nowhere" } })), IModelsErrorCode.ITwinNotFound, 404);
  },

  async changesets() {
    const all = await toArray(imodels.changesets.getRepresentationList(inModel));
    assert.deepEqual(all.map((one) => one.index), [1, 2, 3]);
    assert.deepEqual(all.map((one) => one.parentId), ["", all[0].id, all[1].id]);
    assert.equal(all[0].groupId, all[1].groupId);
    assert.ok(all[0].synchronizationInfo.taskId && all[0].synchronizationInfo.changedFiles.length);
    assert.equal(all[2].synchronizationInfo, null);
    const [newest] = await take(imodels.changesets.getMinimalList({ ...inModel, urlParams: { $orderBy: newestFirst } }), 1);
    assert.equal(newest.id, all[2].id);
    assert.equal((await newest.getCreator()).displayName, "somebody-else");
    const range = await toArray(imodels.changesets.getMinimalList({ ...inModel, urlParams: { afterIndex: 1, lastIndex: 2, $top: 1 } }));
    assert.deepEqual(range.map((one) => one.index), [2]);
    assert.equal((await imodels.changesets.getSingle({ ...inModel, changesetId: all[1].id })).index, 2);
    const byIndex = await imodels.changesets.getSingle({ ...inModel, changesetIndex: 2 });
    assert.equal(byIndex.id, all[1].id);
    assert.equal(await byIndex.getNamedVersion(), undefined);
    assert.equal((await byIndex.getCurrentOrPrecedingCheckpoint()).state, CheckpointState.Successful);
    await rejects(imodels.changesets.getSingle({ ...inModel, changesetIndex: 9 }), IModelsErrorCode.ChangesetNotFound, 404);
    const [group] = await toArray(imodels.changesetGroups.getList(inModel));
    assert.deepEqual([group.id, group.state], [all[0].groupId, "completed"]);
    assert.equal((await imodels.changesetGroups.getSingle({ ...inModel, changesetGroupId: group.id })).creatorId, group.creatorId);
  },

  async namedVersions() {
    const [first, second] = await toArray(imodels.changesets.getMinimalList(inModel));
    const create = (name, changesetId) => imodels.namedVersions.create({ ...inModel, namedVersionProperties: { name, changesetId } });
    const version = await create("Night 1", first.id);
    assert.equal((await version.getChangeset()).id, first.id);
    assert.equal((await version.getCreator()).displayName, clientId);
    assert.equal((await (await imodels.changesets.getSingle({ ...inModel, changesetId: first.id })).getNamedVersion()).id, version.id);
    // This client looks the code NamedVersionExists up by a name that differs from it, and does not find it.
    await rejects(create("Night 1", second.id), IModelsErrorCode.Unrecognized, 409);
    await rejects(create("Night 2", first.id), IModelsErrorCode.NamedVersionOnChangesetExists, 409);
    await rejects(create("Night 2", "f".repeat(40)), IModelsErrorCode.ChangesetNotFound, 404);
    await rejects(create(" ", second.id), IModelsErrorCode.InvalidIModelsRequest, 422);
    const baseline = await create("Baseline", undefined);
    assert.deepEqual([baseline.changesetId, baseline.changesetIndex], [null, 0]);
    const hidden = await imodels.namedVersions.update({ ...inModel, namedVersionId: version.id, namedVersionProperties: { state: NamedVersionState.Hidden } });
    assert.equal(hidden.state, NamedVersionState.Hidden);
    const order = { property: NamedVersionOrderByProperty.ChangesetIndex, operator: OrderByOperator.Descending };
    const ordered = await toArray(imodels.namedVersions.getRepresentationList({ ...inModel, urlParams: { $orderBy: order } }));
    assert.deepEqual(ordered.map((one) => one.name), ["Night 1", "Baseline"]);
    const named = await toArray(imodels.namedVersions.getMinimalList({ ...inModel, urlParams: { name: "Night 1" } }));
    assert.deepEqual(named.map((one) => one.changesetId), [first.id]);
    assert.equal((await imodels.namedVersions.getSingle({ ...inModel, namedVersionId: version.id })).name, "Night 1");
    assert.equal((await imodels.checkpoints.getSingle({ ...inModel, namedVersionId: version.id })).state, CheckpointState.Successful);
    assert.equal((await imodels.checkpoints.getSingle(inModel)).changesetIndex, 1);
  },

  async users() {
    const order = { property: UserOrderByProperty.Surname };
    const users = await toArray(imodels.users.getRepresentationList({ ...inModel, urlParams: { $orderBy: order } }));
    const somebody = users.find((one) => one.displayName === "somebody-else");
    assert.equal(somebody.statistics.pushedChangesetsCount, 1);
    assert.equal((await imodels.users.getSingle({ ...inModel, userId: somebody.id })).email, somebody.email);
    assert.equal((await toArray(imodels.users.getMinimalList(inModel))).length, users.length);
    assert.ok((await imodels.userPermissions.get(inModel)).permissions.includes("imodels_write"));
  },

  async missing() {
    const error = await imodels.thumbnails.download({ ...inModel }).catch((reason) => reason);
    assert.equal(error.statusCode, 501);
    await rejects(imodels.locks.getReleasedLockList(inModel).byPage().next(), IModelsErrorCode.Unrecognized, 501);
  },

  async itwins() {
    const properties = { class: ITwinClass.Endeavor, subClass: ITwinSubClass.Project, displayName: "Harbor", number: "H-1" };
    const created = await itwins.createiTwin(accessToken, properties);
    assert.equal(created.status, 201);
    const id = created.data.id;
    assert.deepEqual([(await itwins.getAsync(accessToken, id)).data.number, created.data.status], ["H-1", "Active"]);
    assert.ok((await itwins.getAsync(accessToken, id, "representation")).data.createdDateTime);
    const found = await itwins.queryAsync(accessToken, ITwinSubClass.Project, { search: "harb", resultMode: "representation" });
    assert.deepEqual(found.data.map((one) => one.id), [id]);
    assert.equal((await itwins.queryAsync(accessToken, undefined, { top: 1, skip: 1 })).data.length, 1);
    assert.equal((await itwins.updateiTwin(accessToken, id, { status: "Inactive" })).data.status, "Inactive");
    assert.deepEqual((await itwins.queryAsync(accessToken, undefined, { number: "H-1" })).data, []);
    assert.deepEqual((await itwins.queryAsync(accessToken, undefined, { number: "H-1", includeInactive: true })).data.length, 1);
    const repositories = await itwins.queryRepositoriesAsync(accessToken, id, { class: "iModels" });
    assert.deepEqual(repositories.data.map((one) => one.class), ["iModels"]);
    assert.equal((await itwins.createiTwin(accessToken, { displayName: "x" })).error.code, "InvalidiTwinsRequest");
    assert.equal((await itwins.deleteiTwin(accessToken, id)).status, 204);
    assert.deepEqual((await itwins.getAsync(accessToken, id)).error.code, "iTwinNotFound");
  },
};

await checks[process.argv[2]]();
console.log("passed");
