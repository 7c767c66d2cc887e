//go:build e2e

package lab

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Alert is one alert as Alertmanager tells its receivers of it.
type Alert struct {
	Status      string // firing or resolved
	Labels      map[string]string
	Annotations map[string]string
	Received    time.Time
}

// Monitoring is a real Prometheus with a real Alertmanager, which tells a
// receiver in this process of every alert. It ends with its test.
type Monitoring struct {
	t    testing.TB
	addr string

	mu     sync.Mutex
	alerts []Alert
}

// monitoringProgram returns the path of a program of Debian's packages.
func monitoringProgram(t testing.TB, name string) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatalf("find cache folder: %v", err)
	}
	path := filepath.Join(cache, "mtatap-e2e", "prometheus", "usr", "bin", name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s is not installed: run .ci/install (Prometheus)", name)
	}
	return path
}

// StartMonitoring scrapes target each interval, as the job mtatap, and evaluates
// the rules of a file.
func StartMonitoring(t testing.TB, target, rules string, interval time.Duration) *Monitoring {
	t.Helper()
	m := &Monitoring{t: t, addr: FreeAddr(t)}
	receiver := httptest.NewServer(http.HandlerFunc(m.receive))
	t.Cleanup(receiver.Close)
	dir := t.TempDir()
	managerAddr := FreeAddr(t)
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	managerConfig := write("alertmanager.yml", fmt.Sprintf(`route: {receiver: test, group_by: ["..."], group_wait: 0s, group_interval: 1s}
receivers:
  - name: test
    webhook_configs: [{url: %q, send_resolved: true}]
`, receiver.URL))
	config := write("prometheus.yml", fmt.Sprintf(`global: {scrape_interval: %s, evaluation_interval: %s}
scrape_configs:
  - job_name: mtatap
    static_configs: [{targets: [%q]}]
rule_files: [%q]
alerting:
  alertmanagers: [{static_configs: [{targets: [%q]}]}]
`, interval, interval, target, rules, managerAddr))
	m.start("prometheus-alertmanager", dir, "--config.file="+managerConfig, "--storage.path="+filepath.Join(dir, "alertmanager"),
		"--web.listen-address="+managerAddr, "--cluster.listen-address=")
	m.start("prometheus", dir, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+m.addr)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		resp, err := http.Get("http://" + m.addr + "/-/ready")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return m
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("Prometheus is not ready: %v", err)
		}
	}
}

func (m *Monitoring) start(name, dir string, args ...string) {
	m.t.Helper()
	log, err := os.Create(filepath.Join(dir, name+".log"))
	if err != nil {
		m.t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(monitoringProgram(m.t, name), args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if m.t.Failed() {
			said, _ := os.ReadFile(log.Name())
			m.t.Logf("end of the log of %s:\n%s", name, said[max(0, len(said)-2000):])
		}
	})
}

func (m *Monitoring) receive(w http.ResponseWriter, r *http.Request) {
	var message struct{ Alerts []Alert }
	if err := json.NewDecoder(r.Body).Decode(&message); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range message.Alerts {
		a.Received = time.Now()
		m.alerts = append(m.alerts, a)
	}
}

// Received returns the alerts that have come through Alertmanager.
func (m *Monitoring) Received() []Alert {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]Alert(nil), m.alerts...)
}

// States returns the state, pending or firing, of the alerts of that name.
func (m *Monitoring) States(name string) []string {
	m.t.Helper()
	var data struct {
		Alerts []struct {
			State  string
			Labels map[string]string
		}
	}
	m.get("/api/v1/alerts", &data)
	var states []string
	for _, a := range data.Alerts {
		if a.Labels["alertname"] == name {
			states = append(states, a.State)
		}
	}
	return states
}

// Query returns how many series an expression gives now.
func (m *Monitoring) Query(expr string) int {
	m.t.Helper()
	var data struct{ Result []json.RawMessage }
	m.get("/api/v1/query?query="+url.QueryEscape(expr), &data)
	return len(data.Result)
}

func (m *Monitoring) get(path string, data any) {
	m.t.Helper()
	resp, err := http.Get("http://" + m.addr + path)
	if err != nil {
		m.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		m.t.Fatal(err)
	}
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Status != "success" {
		m.t.Fatalf("ask Prometheus for %s: %v %s", path, err, answer.Error)
	}
}

// Promtool runs promtool and fails the test if it does not succeed.
func Promtool(t testing.TB, stdin io.Reader, args ...string) {
	t.Helper()
	cmd := exec.Command(monitoringProgram(t, "promtool"), args...)
	cmd.Stdin = stdin
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %v: %v\n%s", args, err, out)
	}
}
