// Repeats work while the page is visible.

/**
 * Call `work` every `pause` milliseconds after its last end, while the page is visible.
 *
 * A page that was hidden for longer calls it as soon as it is visible again. Returns `restart`, which begins a new pause, and
 * `stop`.
 */
export function whileVisible(work, pause) {
  let due = 0;
  let timer = null;
  let isStopped = false;

  const wait = () => {
    clearTimeout(timer);
    timer = document.hidden || isStopped ? null : setTimeout(turn, Math.max(0, due - Date.now()));
  };
  const restart = () => {
    due = Date.now() + pause;
    wait();
  };
  const turn = async () => {
    // The end of the work sets the next time. Until then, a page that becomes visible must not begin it again.
    due = Infinity;
    timer = null;
    try {
      await work();
    } finally {
      restart();
    }
  };
  const changed = () => {
    if (due !== Infinity) {
      wait();
    }
  };
  document.addEventListener("visibilitychange", changed);
  restart();
  return {
    restart,
    stop: () => {
      isStopped = true;
      document.removeEventListener("visibilitychange", changed);
      clearTimeout(timer);
    },
  };
}
