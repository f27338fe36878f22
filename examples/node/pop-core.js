// Orders an instance with `@alicloud/pop-core`, waits until it is ACTIVE, deletes it.
const { setTimeout: sleep } = require("node:timers/promises");
const { RPCClient } = require("@alicloud/pop-core");
const { ca, ...credentials } = require("./credentials");

const client = new RPCClient({
  endpoint: credentials.https_endpoint,
  apiVersion: "2016-01-01",
  accessKeyId: credentials.access_key_id,
  accessKeySecret: credentials.access_key_secret,
});
const call = (action, parameters) => client.request(action, parameters, { method: "POST", ca, timeout: 30_000 });

async function main() {
  const { InstanceId } = await call("CreateInstance", {
    RegionId: credentials.region_id,
    ZoneId: credentials.zone_id,
    DBName: "shop",
    NodeSpec: "petadata.s2.xlarge",
    NodeNumber: 1,
    AccountName: "alice",
    AccountPassword: "Passw0rd!",
  });
  console.log("ordered", InstanceId);

  let info;
  while ((info = await call("DescribeInstanceInfo", { InstanceId })).InstanceStatus !== "ACTIVE") await sleep(100);
  const [endpoint] = info.NetworkInfoItems.NetworkInfoItem;
  console.log("listens on", endpoint.ConnectionString, endpoint.Port);

  await call("DeleteInstance", { InstanceId });
  while (await exists(InstanceId)) await sleep(100);
  console.log("deleted", InstanceId);
}

async function exists(InstanceId) {
  try {
    return await call("DescribeInstanceInfo", { InstanceId });
  } catch (error) {
    if (error.code === "InvalidDBInstanceId.NotFound") return false;
    throw error;
  }
}

main();
