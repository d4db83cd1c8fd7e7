// Serves a register image (address,value lines) with the npm package modbus-serial: node serial_server.js MODULES CSV
"use strict";
const fs = require("fs");
const path = require("path");
const { ServerTCP } = require(path.join(process.argv[2], "modbus-serial"));

const image = new Map();
for (const line of fs.readFileSync(process.argv[3], "utf8").split(/\r?\n/).slice(1)) {
  if (line) {
    const [address, value] = line.split(",").map(Number);
    image.set(address, value);
  }
}
const missing = () => ({ modbusErrorCode: 2, msg: "no such register" });
const vector = {
  getMultipleHoldingRegisters(address, count, unit, done) {
    const values = [];
    for (let n = address; n < address + count; n++) {
      if (!image.has(n)) return done(missing());
      values.push(image.get(n));
    }
    done(null, values);
  },
  getHoldingRegister(address, unit, done) {
    image.has(address) ? done(null, image.get(address)) : done(missing());
  },
  setRegister(address, value, unit, done) {
    if (!image.has(address)) return done(missing());
    image.set(address, value);
    done(null);
  },
};
const server = new ServerTCP(vector, { host: "127.0.0.1", port: 0, debug: false, unitID: 1 });
server.on("initialized", () => console.log("port " + server._server.address().port));
server.on("socketError", () => {});
process.stdin.on("end", () => process.exit(0)).resume();
