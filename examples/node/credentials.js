// The access key and the endpoints, out of credentials.json of the data directory.
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");

const { OPENPETA_DATA_DIR, XDG_DATA_HOME } = process.env;
const dataHome = XDG_DATA_HOME || path.join(os.homedir(), ".local/share");
const dataDir = OPENPETA_DATA_DIR || path.join(dataHome, "openpeta");
const credentials = JSON.parse(fs.readFileSync(path.join(dataDir, "credentials.json"), "utf8"));

// The service's certificate is signed by its own CA.
module.exports = { ...credentials, ca: fs.readFileSync(credentials.ca_file, "utf8") };
