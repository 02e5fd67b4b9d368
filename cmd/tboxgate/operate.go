package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command/openapi"
	"github.com/tboxgate/tboxgate/gateway/admin"
)

// Flags of the commands that work on a gateway.
const (
	addrFlag    = "addr"
	tokenFlag   = "token"
	jsonFlag    = "json"
	productName = "product-key"

	productAlias = "product"
)

// operatorFlags say which gateway is meant: that of a data directory, or a remote one.
func operatorFlags(more ...cli.Flag) []cli.Flag {
	return append(more,
		configFileFlag(),
		&cli.StringFlag{Name: "data-dir", Usage: "directory of the gateway [$TBOXGATE_DATA_DIR]", DefaultText: "./tboxgate-data"},
		&cli.StringFlag{Name: addrFlag, Usage: "admin address of a gateway on another machine, HOST:PORT or a URL [$TBOXGATE_ADDR]"},
		&cli.StringFlag{Name: tokenFlag, Usage: "its admin.token [$TBOXGATE_TOKEN]"},
	)
}

func outputFlag() cli.Flag {
	return &cli.BoolFlag{Name: jsonFlag, Usage: "print JSON, one object a line", DisableDefaultText: true}
}

func productFlag() cli.Flag {
	return &cli.StringFlag{Name: productName, Aliases: []string{productAlias}, Usage: "product key [$TBOXGATE_PRODUCT_KEY]", DefaultText: "the gateway's first"}
}

// need says what a command can do without a running gateway.
type need int

const (
	needGateway   need = iota // nothing
	needDirectory             // it works on a data directory that is there
	makeDirectory             // it may make the directory, to prepare a first start
)

// operator is a connection to a gateway or, without one, to its data directory.
type operator struct {
	*admin.Client
	productKey string   // of --product-key, else the first of products
	products   []string // those of the running gateway, else of the configuration
	// mqttProducts are those of them whose devices speak MQTT.
	mqttProducts []string
	where        string // which of the two, for messages
	close        func() error
}

// knownProduct refuses a product that is none of the gateway's: no vehicle of it could log in. With registered set one
// that vehicles are registered in is known as well: a product that is configured no more, whose vehicles are to go.
func (o *operator) knownProduct(ctx context.Context, key string, registered bool) error {
	if slices.Contains(o.products, key) {
		return nil
	}
	if registered {
		for _, err := range o.Vehicles(ctx, key) {
			return err // of the first vehicle: there is one, or there is no telling
		}
	}
	return fmt.Errorf("unknown product %q; %s: %s", key, o.where, strings.Join(o.products, ", "))
}

// operate connects, calls fn and closes.
func (p *program) operate(c *cli.Context, n need, fn func(ctx context.Context, o *operator) error) (err error) {
	o, err := p.connect(c, n)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.close()) }()
	return fn(c.Context, o)
}

func (p *program) connect(c *cli.Context, n need) (*operator, error) {
	addr, token := p.setting(c, addrFlag), p.setting(c, tokenFlag)
	if addr != "" {
		if token == "" {
			return nil, usagef(c, "--addr needs --token")
		}
		o, err := p.reach(c, admin.NewRemoteClient(addr, token))
		if errors.Is(err, admin.ErrNotFound) {
			return nil, fmt.Errorf("%s is no admin address that takes commands: admin.token must be set there (%w)", addr, err)
		}
		return o, err
	}
	cfg, err := p.config(c, productName) // which would be the configuration's only product then
	if err != nil {
		return nil, configProblem(c, err)
	}
	if cfg.DataDir == "" {
		return nil, usagef(c, "--data-dir is needed: serve --dev works on a temporary directory, which it prints")
	}
	o, err := p.reach(c, admin.NewClient(cfg.DataDir))
	switch {
	case !errors.Is(err, admin.ErrNoGateway):
		return o, err
	case n == needGateway || errors.Is(err, fs.ErrPermission):
		return nil, noGateway(cfg.DataDir, err)
	}
	return p.openDirectory(c, cfg, n)
}

// noGateway says why the gateway of a data directory cannot be reached.
func noGateway(dataDir string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("data directory %s belongs to another user: run this as the one that the gateway runs as (sudo -u), or as root", dataDir)
	}
	return fmt.Errorf("no gateway is running on data directory %s: start tboxgate serve there, or choose another with --data-dir", dataDir)
}

// reach asks a running gateway for its product.
func (p *program) reach(c *cli.Context, client *admin.Client) (*operator, error) {
	status, err := client.Status(c.Context)
	if err != nil {
		client.Close()
		return nil, err
	}
	o := &operator{
		Client: client, productKey: cmp.Or(p.setting(c, productName), status.ProductKey),
		where: "the gateway's products are", close: func() error { client.Close(); return nil },
	}
	for _, product := range status.Products {
		o.know(product)
	}
	return o, nil
}

// know adds a product.
func (o *operator) know(p admin.Product) {
	o.products = append(o.products, p.Key)
	if p.Protocol == string(openapi.MQTT) {
		o.mqttProducts = append(o.mqttProducts, p.Key)
	}
}

// openDirectory does without a gateway, under the directory's lock.
func (p *program) openDirectory(c *cli.Context, cfg *Config, n need) (*operator, error) {
	if _, err := os.Stat(cfg.DataDir); n == needDirectory && errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no data directory %s: choose one with --data-dir", cfg.DataDir)
	}
	cfg.NATS.Listen = "" // nobody else is served meanwhile
	log, _ := newLogger(p.stderr, Log{Level: slog.LevelError.String(), Format: cfg.Log.Format})
	s, err := lockState(cfg, log)
	if err != nil {
		return nil, err
	}
	closeAll := func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Context), cfg.Drain.Timeout)
		defer cancel()
		return errors.Join(s.close(ctx), s.unlock())
	}
	if err := s.open(c.Context, nil, nil); err != nil {
		return nil, errors.Join(err, closeAll())
	}
	api := admin.API{Vehicles: s.registry, Devices: s.devices, Products: adminProducts(cfg.Products), Platforms: s.platforms, Keys: keyBackend{s.keys}, Store: storeKeeper{s}}
	s.keptFrames(c.Context, &api)
	o := &operator{Client: admin.NewLocalClient(api.Handler()), where: "the configuration's products are", close: closeAll}
	for _, product := range api.Products {
		o.know(product)
	}
	o.productKey = cmp.Or(p.setting(c, productName), o.products[0])
	return o, nil
}

// setting is a flag that is no part of the configuration, or its variable.
func (p *program) setting(c *cli.Context, flag string) string {
	if v := c.String(flag); v != "" {
		return v
	}
	v, _ := p.env(envName(flag))
	return v
}

// vinArgument reads a VIN from the command line.
func vinArgument(c *cli.Context, text string) (codec.VIN, error) {
	vin, err := codec.ParseVIN(text)
	if err != nil {
		return vin, usagef(c, "%v", err)
	}
	return vin, nil
}

// operateEach is operate with each argument of the command, of which there must be one.
func (p *program) operateEach(c *cli.Context, n need, fn func(ctx context.Context, o *operator, argument string) error) error {
	args, err := arguments(c, 1, anyNumber)
	if err != nil {
		return err
	}
	return p.operate(c, n, func(ctx context.Context, o *operator) error {
		return each(args, func(argument string) error { return fn(ctx, o, argument) })
	})
}

// each does all and reports all that went wrong.
func each(items []string, do func(string) error) error {
	var errs []error
	for _, item := range items {
		errs = append(errs, do(item))
	}
	return errors.Join(errs...)
}
