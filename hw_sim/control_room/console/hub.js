// The console's line to its server: whole states in, commands out, each with its reply.

export class Hub {
  #socket = null;
  #next = 1;
  #waiting = new Map();
  #retry_ms = 300;

  /** `onState(state)` gets every state; `onLine(up)` whether the server is there. */
  constructor(path, onState, onLine) {
    this.path = path;
    this.onState = onState;
    this.onLine = onLine;
    this.#open();
  }

  /** Resolves to {result, reason}; never rejects. */
  command(order) {
    if (this.#socket?.readyState !== WebSocket.OPEN) {
      return Promise.resolve({ result: "no_answer", reason: "this page has lost its server" });
    }
    const id = this.#next++;
    const answered = new Promise((resolve) => this.#waiting.set(id, resolve));
    this.#socket.send(JSON.stringify({ type: "command", id, ...order }));
    return answered;
  }

  /** Say something that needs no reply. */
  say(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #open() {
    const socket = new WebSocket(socketUrl(this.path));
    this.#socket = socket;
    socket.onopen = () => {
      this.#retry_ms = 300;
      this.onLine(true);
    };
    socket.onmessage = (event) => {
      const message = JSON.parse(event.data);
      if (message.type === "state") this.onState(message);
      else if (message.type === "reply") {
        this.#waiting.get(message.id)?.(message);
        this.#waiting.delete(message.id);
      }
    };
    socket.onclose = () => {
      this.onLine(false);
      for (const resolve of this.#waiting.values()) resolve({ result: "no_answer", reason: "this page has lost its server" });
      this.#waiting.clear();
      setTimeout(() => this.#open(), this.#retry_ms);
      this.#retry_ms = Math.min(this.#retry_ms * 2, 5000);
    };
  }
}

export function socketUrl(path) {
  const url = new URL(path, location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}
