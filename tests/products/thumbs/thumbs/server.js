// A picture for who has a signed link. SIGTERM ends it at once, as it does most servers of Node.
const crypto = require("crypto");
const http = require("http");

const { LINK_KEY, PORT, THUMB_SIZE } = process.env;

http.createServer((request, response) => {
    const [path, signature] = request.url.split("?");
    const picture = path.replace("/node/", "");
    const expected = crypto.createHmac("sha256", LINK_KEY).update(picture).digest("hex");
    if (picture !== "healthz" && signature !== expected) response.statusCode = 403;
    response.end(`${picture}, ${THUMB_SIZE} pixels wide`);
}).listen(PORT);
