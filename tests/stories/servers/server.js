// The other web part of that product. Like most servers of Node it does not know SIGTERM, and dies of it at once.
// What is upgraded is an echo.
const http = require("http");
const server = http.createServer((request, response) => {
    const path = request.url.split("?")[0];
    setTimeout(
        () => response.end(JSON.stringify({ path, release: process.argv[2], greeting: process.env.GREETING })),
        path.endsWith("/slow") ? 3000 : 0,
    );
});
server.on("upgrade", (request, socket) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n");
    socket.pipe(socket);
});
server.listen(process.env.PORT);
