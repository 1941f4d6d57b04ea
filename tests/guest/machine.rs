//! A guest machine: Debian under QEMU's emulation, told what to do over a serial port and photographed from outside.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use limen_models::image::RgbImage;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The display's size, px.
pub const PANEL: (usize, usize) = (480, 320);
/// Until the guest has come up, at most.
const BOOT: Duration = Duration::from_secs(180);

/// A running machine. It is gone when this is dropped.
pub struct Guest {
    qemu: Child,
    agent: BufReader<UnixStream>,
    monitor: BufReader<UnixStream>,
    /// `/share` of the guest.
    share: TempDir,
    scripts: u32,
}

/// What a script came to.
pub struct Said {
    /// Exit code.
    pub code: i32,
    /// What it printed, for people and programs.
    pub text: String,
}

impl Said {
    /// Its text, if it succeeded.
    #[track_caller]
    pub fn fine(self) -> String {
        assert_eq!(self.code, 0, "{}", self.text);
        self.text
    }
}

/// The folder that cross/guest/setup made, as `LIMEN_GUEST` names it; `None`, which is said as skipping `test`, without.
pub fn kit(test: &str) -> Option<PathBuf> {
    let kit = std::env::var_os("LIMEN_GUEST").filter(|k| !k.is_empty());
    if kit.is_none() {
        println!("SKIPPED (no guest machine: ./x guest makes one): {test}");
    }
    kit.map(PathBuf::from)
}

impl Guest {
    /// Starts the machine of `kit` and waits until it listens. Where the kernel patches its own code while it starts, QEMU
    /// sometimes runs into half of a patch, and the kernel dies before anything of ours is there: it is started again.
    pub fn boot(kit: &Path) -> Self {
        Self::boot_with(kit, "")
    }

    /// As [`Guest::boot`], with systemd as the first process.
    pub fn boot_systemd(kit: &Path) -> Self {
        Self::boot_with(kit, "limen.systemd")
    }

    fn boot_with(kit: &Path, words: &str) -> Self {
        let mut died = String::new();
        for _ in 0..3 {
            match Self::start(kit, words) {
                Ok(guest) => return guest,
                Err(console) => died = console,
            }
        }
        panic!("the guest does not come up: {died}")
    }

    /// What the kernel said, where it does not come up.
    fn start(kit: &Path, words: &str) -> Result<Self, String> {
        let share = tempfile::tempdir().expect("a folder for the guest");
        let arm = kit.ends_with("arm64");
        let version =
            std::fs::read_to_string(kit.join("version")).expect("cross/guest/setup made this machine");
        let modules = kit.join("kernel/usr/lib/modules");
        let (width, height) = PANEL;
        let sockets = ["agent", "monitor"].map(|name| share.path().join(format!(".{name}")));
        let mut qemu = Command::new(if arm { "qemu-system-aarch64" } else { "qemu-system-x86_64" });
        let (machine, display, console) = if arm {
            (["-M", "virt", "-cpu", "cortex-a72"].as_slice(), "virtio-gpu-pci", "ttyAMA0")
        } else {
            // One without AVX and FMA: emulating a multiplication that rounds once takes a hundred times as long.
            (["-cpu", "qemu64"].as_slice(), "bochs-display", "ttyS0")
        };
        qemu.args(machine)
            .args(["-accel", "tcg,thread=multi", "-smp", "2", "-m", "768"])
            .args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"])
            .args(["-device", &format!("{display},xres={width},yres={height}")])
            .args(["-device", "virtio-tablet-pci"])
            .args(["-serial", &format!("file:{}", share.path().join("console.log").display())])
            .arg("-kernel")
            .arg(modules.join(version.trim()).join("vmlinuz"))
            .arg("-initrd")
            .arg(kit.join("first.gz"))
            .args([
                "-append",
                &format!("console={console} quiet panic=-1 vt.global_cursor_default=0 {words}"),
            ])
            .args(["-device", "virtio-serial-pci", "-device", "virtserialport,chardev=agent,name=limen"])
            .args(["-chardev", &format!("socket,id=agent,server=on,wait=off,path={}", sockets[0].display())])
            .args(["-qmp", &format!("unix:{},server=on,wait=off", sockets[1].display())]);
        for (folder, tag) in
            [(&kit.join("root"), "root"), (&modules, "modules"), (&share.path().into(), "share")]
        {
            let folder: &PathBuf = folder;
            qemu.arg("-virtfs").arg(format!(
                "local,path={},mount_tag={tag},security_model=none,multidevs=remap",
                folder.display()
            ));
        }
        let qemu = qemu.stdin(Stdio::null()).spawn().expect("QEMU starts");
        let [agent, monitor] = sockets.map(|path| BufReader::new(connect(&path)));
        let mut guest = Self { qemu, agent, monitor, share, scripts: 0 };
        match guest.heard(BOOT) {
            Ok(line) if line.starts_with("ready") => {}
            // Seen under emulation beside other work: a kernel that stops before its first word.
            _ => return Err(guest.console()),
        }
        guest.line_of_monitor();
        guest.monitor("qmp_capabilities", &json!({}));
        Ok(guest)
    }

    /// What lies at `name` in `/share`, from outside.
    pub fn shared(&self, name: &str) -> PathBuf {
        self.share.path().join(name)
    }

    /// Runs `script` in the guest's bash and waits for its end.
    #[track_caller]
    pub fn run(&mut self, script: &str, limit: Duration) -> Said {
        self.scripts += 1;
        let n = self.scripts;
        std::fs::write(self.shared(&format!("{n}.sh")), script).expect("the script is written");
        writeln!(self.agent.get_mut(), "{n}").expect("the guest listens");
        let said = self.hear(limit);
        let text = std::fs::read(self.shared(&format!("{n}.out"))).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let code = said.trim().strip_prefix(&format!("{n} ")).and_then(|code| code.parse().ok());
        Said { code: code.unwrap_or_else(|| panic!("{script}: {said:?}\n{text}")), text }
    }

    /// Runs a `script` that takes no more than a minute and succeeds; what it printed.
    #[track_caller]
    pub fn sh(&mut self, script: &str) -> String {
        self.run(script, Duration::from_secs(60)).fine()
    }

    /// Photographs the display.
    pub fn screenshot(&mut self) -> RgbImage {
        let file = self.shared(".screen.ppm");
        self.monitor("screendump", &json!({ "filename": file }));
        let ppm = std::fs::read(&file).expect("QEMU wrote the screen");
        // P6, width, height, 255, each followed by one white space.
        let mut words = ppm.splitn(5, |b| b.is_ascii_whitespace());
        let mut number = || -> usize {
            let word = words.next().and_then(|w| std::str::from_utf8(w).ok());
            word.map(|w| w.trim_start_matches("P6")).and_then(|w| w.parse().ok()).unwrap_or(0)
        };
        let (_, width, height, _) = (number(), number(), number(), number());
        let pixels = words.next().expect("the screen has pixels").to_vec();
        RgbImage::new(width, height, pixels).expect("QEMU's picture is whole")
    }

    /// Touches the display at `x`, `y` px and lets go.
    pub fn tap(&mut self, (x, y): (u32, u32)) {
        // 32768 steps across and down, whatever the size; the middle of a pixel.
        let at = |at: u32, size: usize| (2 * u64::from(at) + 1) * 32_768 / (2 * size as u64);
        let axis = |axis, value| json!({ "type": "abs", "data": { "axis": axis, "value": value } });
        let button = |down| json!({ "type": "btn", "data": { "button": "left", "down": down } });
        let place = [axis("x", at(x, PANEL.0)), axis("y", at(y, PANEL.1)), button(true)];
        self.monitor("input-send-event", &json!({ "events": place }));
        self.monitor("input-send-event", &json!({ "events": [button(false)] }));
    }

    /// Tells QEMU itself to do something.
    pub fn monitor(&mut self, command: &str, arguments: &Value) -> Value {
        writeln!(self.monitor.get_mut(), "{}", json!({ "execute": command, "arguments": arguments }))
            .expect("QEMU listens");
        loop {
            // Between answers it tells of events.
            let said = self.line_of_monitor();
            assert!(said.get("error").is_none(), "{command}: {said}");
            if let Some(answer) = said.get("return") {
                return answer.clone();
            }
        }
    }

    /// Whether the machine is gone by then; one that starts anew is, under QEMU's `-no-reboot`.
    pub fn ends_within(&mut self, limit: Duration) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < limit {
            if self.qemu.try_wait().is_ok_and(|ended| ended.is_some()) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        false
    }

    fn line_of_monitor(&mut self) -> Value {
        let mut line = String::new();
        self.monitor.read_line(&mut line).expect("QEMU answers");
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{line:?}: {e}"))
    }

    /// The next line of the guest.
    #[track_caller]
    fn hear(&mut self, limit: Duration) -> String {
        self.heard(limit).unwrap_or_else(|e| {
            panic!("the guest says nothing for {limit:?} ({e}); its console: {}", self.console())
        })
    }

    fn heard(&mut self, limit: Duration) -> std::io::Result<String> {
        self.agent.get_ref().set_read_timeout(Some(limit)).expect("a limit");
        let mut line = String::new();
        self.agent.read_line(&mut line)?;
        Ok(line)
    }

    /// What the kernel said.
    pub fn console(&self) -> String {
        let mut text = Vec::new();
        if let Ok(mut file) = std::fs::File::open(self.shared("console.log")) {
            let _ = file.read_to_end(&mut text);
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

impl Drop for Guest {
    /// The plug is pulled.
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

/// QEMU makes its sockets before it runs the guest.
fn connect(path: &Path) -> UnixStream {
    let begun = Instant::now();
    loop {
        match UnixStream::connect(path) {
            Ok(stream) => return stream,
            Err(e) if begun.elapsed() > Duration::from_secs(20) => panic!("{}: {e}", path.display()),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}
