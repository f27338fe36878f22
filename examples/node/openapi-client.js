// Lists instances with their databases and whitelists, with `@alicloud/openapi-client`, which
// signs with ACS3-HMAC-SHA256.
const { default: Client, Config, OpenApiRequest, Params } = require("@alicloud/openapi-client");
const { RuntimeOptions } = require("@alicloud/tea-util");
const { ca, ...credentials } = require("./credentials");

const client = new Client(
  new Config({
    accessKeyId: credentials.access_key_id,
    accessKeySecret: credentials.access_key_secret,
    endpoint: credentials.https_endpoint.replace("https://", ""),
    protocol: "https",
    regionId: credentials.region_id,
    ca,
  }),
);

async function call(action, parameters) {
  const params = new Params({
    action,
    version: "2016-01-01",
    protocol: "https",
    pathname: "/",
    method: "POST",
    authType: "AK",
    style: "RPC",
    reqBodyType: "formData",
    bodyType: "json",
  });
  const answer = await client.callApi(params, new OpenApiRequest({ body: parameters }), new RuntimeOptions({}));
  return answer.body;
}

async function main() {
  const { Instances } = await call("DescribeInstances", { PageSize: 50 });
  for (const { InstanceId, InstanceStatus } of Instances.Instance) {
    const { Databases } = await call("DescribeDatabases", { InstanceId });
    const { SecurityIPList } = await call("DescribeSecurityIPs", { InstanceId });
    const names = Databases.Database.map((database) => database.DBName);
    console.log(InstanceId, InstanceStatus, names.join(","), SecurityIPList);
  }
}

main();
