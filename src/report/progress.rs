//! The progress bar: bytes of all processes, rate and time left, on a terminal only.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often the bar is drawn.
const REDRAW: Duration = Duration::from_millis(100);

/// A bar that follows a counter of bytes until it is dropped.
#[derive(Debug)]
pub struct Progress {
    stop: Option<std::sync::mpsc::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Progress {
    /// Draws `bytes` out of `total` on stderr, if `visible`. The total may grow, as scans are planned.
    pub fn start(visible: bool, total: impl Fn() -> u64 + Send + 'static, bytes: Arc<AtomicU64>) -> Self {
        if !visible {
            return Progress { stop: None, thread: None };
        }
        let (stop, stopped) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let bar = ProgressBar::with_draw_target(Some(total()), ProgressDrawTarget::stderr());
            // The template is constant; a mistake in it would show as the default bar.
            let template = "{bar:32} {percent:>3} %  {decimal_bytes} of {decimal_total_bytes}  {decimal_bytes_per_sec}  {eta} left";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            while stopped.recv_timeout(REDRAW) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                let total = total();
                bar.set_length(total);
                bar.set_position(bytes.load(Ordering::Relaxed).min(total));
            }
            bar.finish_and_clear();
        });
        Progress { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A bar that failed to draw is no reason to fail.
            let _ = thread.join();
        }
    }
}
