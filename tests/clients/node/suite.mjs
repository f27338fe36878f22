// Node's clients against the service: the vendor's old and new SDKs and two MySQL drivers.
// Usage: node suite.mjs HANDOVER CASE…
// For each case prints one line of JSON: {"name", "ok", "error"}.
import assert from "node:assert/strict";
import fs from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { randomUUID } from "node:crypto";

import openapi from "@alicloud/openapi-client";
import teaUtil from "@alicloud/tea-util";
import popCore from "@alicloud/pop-core";
import mariadb from "mariadb";
import mysql from "mysql2/promise";

const { default: OpenApiClient, Config, OpenApiRequest, Params } = openapi;
const { RuntimeOptions } = teaUtil;
const { RPCClient } = popCore;

const [handoverPath, ...wanted] = process.argv.slice(2);
const handover = JSON.parse(fs.readFileSync(handoverPath, "utf8"));
const { instance } = handover;
const ca = fs.readFileSync(handover.ca_file, "utf8");
const PASSWORD = "Passw0rd!";
let tables = 0;
const newTable = () => `node_${process.pid}_${tables++}`;

// The signed API through each SDK: a function of action and parameters.

function popClient(method, secret = handover.access_key_secret) {
  const client = new RPCClient({
    endpoint: handover.https_endpoint,
    apiVersion: "2016-01-01",
    accessKeyId: handover.access_key_id,
    accessKeySecret: secret,
    // The SDK hands this agent option on to Node's https module.
    opts: { timeout: 30_000 },
  });
  return (action, parameters = {}) => client.request(action, parameters, { method, ca, timeout: 30_000 });
}

function acs3Client(place, algorithm, secret = handover.access_key_secret) {
  const client = new OpenApiClient(
    new Config({
      accessKeyId: handover.access_key_id,
      accessKeySecret: secret,
      endpoint: handover.https_endpoint.replace("https://", ""),
      protocol: "https",
      regionId: handover.region_id,
      signatureAlgorithm: algorithm,
      ca,
    }),
  );
  return async (action, parameters = {}) => {
    const params = new Params({
      action, version: "2016-01-01", protocol: "https", pathname: "/", method: "POST",
      authType: "AK", style: "RPC", reqBodyType: "formData", bodyType: "json",
    });
    const answer = await client.callApi(
      params, new OpenApiRequest({ [place]: parameters }), new RuntimeOptions({ readTimeout: 30_000 }),
    );
    return answer.body;
  };
}

async function fromOrderToGone(call, connect) {
  const order = await call("CreateInstance", {
    RegionId: handover.region_id, ZoneId: handover.zone_id, DBName: "shop", NodeSpec: "petadata.s2.xlarge",
    NodeNumber: "1", AccountName: "nadia", AccountPassword: PASSWORD, InstanceName: "node (1)! 'é' *",
    ClientToken: randomUUID(),
  });
  const InstanceId = order.InstanceId;
  let info;
  const deadline = Date.now() + 60_000;
  do {
    await sleep(20);
    info = await call("DescribeInstanceInfo", { InstanceId });
    assert(Date.now() < deadline, `not ACTIVE: ${JSON.stringify(info)}`);
  } while (info.InstanceStatus !== "ACTIVE");
  assert.equal(info.InstanceName, "node (1)! 'é' *");
  const [endpoint] = info.NetworkInfoItems.NetworkInfoItem;
  const session = await connect({
    host: endpoint.ConnectionString, port: Number(endpoint.Port), user: "nadia", password: PASSWORD, database: "shop",
  });
  await session.query("CREATE TABLE goods (id INT PRIMARY KEY, name VARCHAR(20))");
  await session.query("INSERT INTO goods VALUES (1, 'pen')");
  await session.end();
  const listed = await call("DescribeInstances", { PageSize: 50 });
  assert(listed.Instances.Instance.some((row) => row.InstanceId === InstanceId));
  await call("ModifyInstanceName", { InstanceId, NewInstanceName: "renamed" });
  await call("ModifySecurityIPs", { InstanceId, ModifyMode: "1", SecurityIPList: "10.0.0.0/8" });
  await call("CreateAccount", { InstanceId, AccountName: "olga", AccountPassword: PASSWORD, DBName: "shop" });
  await call("DeleteAccount", { InstanceId, AccountName: "olga" });
  await call("DeleteInstance", { InstanceId });
  for (;;) {
    try {
      await call("DescribeInstanceInfo", { InstanceId });
    } catch (error) {
      assert.match(String(error.code), /InvalidDBInstanceId\.NotFound/);
      break;
    }
    assert(Date.now() < deadline, "still there");
    await sleep(20);
  }
}

async function errorsAreRead(client) {
  await assert.rejects(client(handover.access_key_secret)("DescribeInstanceInfo", { InstanceId: "pd-nobody" }), (error) => {
    assert.match(String(error.code), /InvalidDBInstanceId\.NotFound/);
    return true;
  });
  await assert.rejects(client("wrong")("DescribeInstances"), (error) => {
    assert.match(String(error.code), /IncompleteSignature/);
    return true;
  });
}

// The drivers.

const login = (more = {}) => ({
  host: instance.host, port: instance.port, user: instance.user, password: instance.password,
  database: instance.database, connectTimeout: 10_000, ...more,
});
const tls = { ca, rejectUnauthorized: true };

async function mysql2Scenario(options) {
  const session = await mysql.createConnection(login(options));
  const table = newTable();
  await session.query(`CREATE TABLE ${table} (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(40), price DECIMAL(9,2))`);
  const [inserted] = await session.execute(`INSERT INTO ${table} (name, price) VALUES (?, ?), (?, ?)`, ["pen", 1.5, "墨水", 12.25]);
  assert.equal(inserted.affectedRows, 2);
  for (let round = 0; round < 50; round++) {
    const [found] = await session.execute(`SELECT id FROM ${table} WHERE name = ?`, ["墨水"]);
    assert.deepEqual(found.map((row) => row.id), [2]);
  }
  await session.beginTransaction();
  await session.query(`UPDATE ${table} SET price = 0`);
  await session.rollback();
  const [[sum]] = await session.query(`SELECT SUM(price) AS total FROM ${table}`);
  assert.equal(sum.total, "13.75");
  await session.query(`DROP TABLE ${table}`);
  await session.ping();
  await session.end();
}

async function mariadbScenario(options) {
  const session = await mariadb.createConnection(login(options));
  const table = newTable();
  await session.query(`CREATE TABLE ${table} (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(40), price DECIMAL(9,2))`);
  // Batches use MariaDB's own bulk command where the server has it.
  await session.batch(
    `INSERT INTO ${table} (name, price) VALUES (?, ?)`,
    Array.from({ length: 500 }, (_, number) => [`n${number}`, number / 4]),
  );
  const rows = await session.execute(`SELECT COUNT(*) AS many, SUM(price) AS total FROM ${table} WHERE price >= ?`, [0]);
  assert.equal(Number(rows[0].many), 500);
  assert.equal(Number(rows[0].total), 31187.5);
  await session.beginTransaction();
  await session.query(`DELETE FROM ${table}`);
  await session.rollback();
  const prepared = await session.prepare(`SELECT name FROM ${table} WHERE id = ?`);
  for (const id of [1, 250, 500]) {
    assert.equal((await prepared.execute([id]))[0].name, `n${id - 1}`);
  }
  prepared.close();
  await session.query(`DROP TABLE ${table}`);
  await session.reset();
  await session.ping();
  await session.end();
}

const cases = {
  "pop-core-get": () => fromOrderToGone(popClient("GET"), mysql.createConnection),
  "pop-core-post": () => fromOrderToGone(popClient("POST"), mariadb.createConnection),
  "pop-core-errors": () => errorsAreRead((secret) => popClient("POST", secret)),
  "openapi-client-form": () => fromOrderToGone(acs3Client("body"), mysql.createConnection),
  "openapi-client-query": () => fromOrderToGone(acs3Client("query"), mariadb.createConnection),
  "openapi-client-v1": () => fromOrderToGone(acs3Client("body", "v2"), mysql.createConnection),
  "openapi-client-errors": () => errorsAreRead((secret) => acs3Client("body", undefined, secret)),
  "mysql2-plain": () => mysql2Scenario({}),
  "mysql2-tls": () => mysql2Scenario({ ssl: tls }),
  "mysql2-compressed": () => mysql2Scenario({ compress: true }),
  "mariadb-plain": () => mariadbScenario({}),
  "mariadb-tls": () => mariadbScenario({ ssl: tls }),
  "mariadb-compressed-tls": () => mariadbScenario({ ssl: tls, compress: true }),
  "mysql2-multi-statements": async () => {
    const session = await mysql.createConnection(login({ multipleStatements: true }));
    const [results] = await session.query("SELECT 1 AS a; SELECT 2 AS b; DO 0; SELECT 3 AS c");
    assert.equal(results.length, 4);
    assert.deepEqual([results[0][0].a, results[1][0].b, results[3][0].c], [1, 2, 3]);
    await session.end();
  },
  "mariadb-multi-statements": async () => {
    const session = await mariadb.createConnection(login({ multipleStatements: true }));
    const results = await session.query("SELECT 1 AS a; SELECT 2 AS b");
    assert.deepEqual(results.map((rows) => Object.values(rows[0])[0]), [1, 2]);
    await session.end();
  },
  "mariadb-pipelined": async () => {
    const session = await mariadb.createConnection(login({ pipelining: true }));
    const answers = await Promise.all(Array.from({ length: 200 }, (_, n) => session.query(`SELECT ${n} AS n`)));
    assert.deepEqual(answers.map((rows) => Number(rows[0].n)), Array.from({ length: 200 }, (_, n) => n));
    await session.end();
  },
  "mysql2-change-user": async () => {
    const session = await mysql.createConnection(login({ ssl: tls }));
    await session.query("SET @mine = 1");
    await session.changeUser({ user: instance.user, password: instance.password, database: instance.database });
    const [[row]] = await session.query("SELECT CURRENT_USER() AS who, @mine AS mine");
    assert.deepEqual(row, { who: `${instance.user}@%`, mine: null });
    await session.end();
  },
  "mariadb-change-user": async () => {
    const session = await mariadb.createConnection(login());
    await session.changeUser({ user: instance.user, password: instance.password, database: instance.database });
    assert.equal((await session.query("SELECT CURRENT_USER() AS who"))[0].who, `${instance.user}@%`);
    await session.end();
  },
  "mysql2-wrong-password": () => assert.rejects(mysql.createConnection(login({ password: "wrong" })), { errno: 1045 }),
  "mariadb-wrong-password": () => assert.rejects(mariadb.createConnection(login({ password: "wrong" })), { errno: 1045 }),
  "mysql2-unknown-database": () => assert.rejects(mysql.createConnection(login({ database: "nowhere" })), { errno: 1044 }),
  "mariadb-wrong-authority": () => assert.rejects(mariadb.createConnection(login({ ssl: { rejectUnauthorized: true } }))),
  "mysql2-pool": async () => {
    const pool = mysql.createPool(login({ connectionLimit: 8 }));
    const answers = await Promise.all(Array.from({ length: 100 }, (_, n) => pool.execute("SELECT ? + 1 AS n", [n])));
    assert.deepEqual(answers.map(([rows]) => Number(rows[0].n)), Array.from({ length: 100 }, (_, n) => n + 1));
    await pool.end();
  },
  "mariadb-pool": async () => {
    const pool = mariadb.createPool(login({ connectionLimit: 8, resetAfterUse: true }));
    const answers = await Promise.all(Array.from({ length: 100 }, (_, n) => pool.query("SELECT ? + 1 AS n", [n])));
    assert.deepEqual(answers.map((rows) => Number(rows[0].n)), Array.from({ length: 100 }, (_, n) => n + 1));
    await pool.end();
  },
  "mysql2-stream": async () => {
    const session = await mysql.createConnection(login());
    let rows = 0;
    for await (const row of session.connection.query("SELECT seq FROM seq_1_to_50000").stream()) rows += row.seq > 0 ? 1 : 0;
    assert.equal(rows, 50_000);
    await session.end();
  },
  "mysql2-load-data": async () => {
    const session = await mysql.createConnection(login());
    const table = newTable();
    await session.query(`CREATE TABLE ${table} (id INT)`);
    const { Readable } = await import("node:stream");
    const [loaded] = await session.query({
      sql: `LOAD DATA LOCAL INFILE 'mine' INTO TABLE ${table}`,
      infileStreamFactory: () => Readable.from(Array.from({ length: 1000 }, (_, n) => Buffer.from(`${n}\n`))),
    });
    assert.equal(loaded.affectedRows, 1000);
    await session.query(`DROP TABLE ${table}`);
    await session.end();
  },
};

if (wanted[0] === "--list") {
  console.log(JSON.stringify(Object.keys(cases)));
  process.exit(0);
}
let failed = false;
for (const name of wanted.length ? wanted : Object.keys(cases)) {
  let error;
  try {
    await cases[name]();
  } catch (caught) {
    error = caught?.stack ?? String(caught);
    failed = true;
  }
  console.log(JSON.stringify({ name, ok: error === undefined, error }));
}
process.exit(failed ? 1 : 0);
