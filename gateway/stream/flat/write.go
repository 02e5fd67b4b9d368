package flat

import (
	"encoding/csv"
	"io"
	"reflect"
	"strconv"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
)

// Writer writes rows. Close ends the table, not what it is written to.
type Writer interface {
	Write(r Row) error
	Close() error
}

// csvWriter writes a head and a line a row (RFC 4180). What is absent is an empty cell; times are RFC 3339
// in UTC with milliseconds.
type csvWriter struct {
	w     *csv.Writer
	cells []string
}

// NewCSV returns a writer of CSV.
func NewCSV(w io.Writer) Writer {
	c := &csvWriter{w: csv.NewWriter(w)}
	for _, column := range Columns() {
		c.cells = append(c.cells, column.Name)
	}
	_ = c.w.Write(c.cells) // buffered: an error comes again with Close
	return c
}

func (c *csvWriter) Write(r Row) error {
	v := reflect.ValueOf(&r).Elem()
	for i := range c.cells {
		c.cells[i] = cell(v.Field(i))
	}
	return c.w.Write(c.cells)
}

func (c *csvWriter) Close() error {
	c.w.Flush()
	return c.w.Error()
}

func cell(v reflect.Value) string {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return ""
		}
		v = v.Elem()
	}
	switch x := v.Interface().(type) {
	case string:
		return x
	case bool:
		return strconv.FormatBool(x)
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64)
	case time.Time:
		return x.UTC().Format("2006-01-02T15:04:05.000Z")
	default:
		return strconv.FormatInt(v.Int(), 10)
	}
}

// rowGroup is how many rows a Parquet row group has: what is held in memory, compressed, before it is
// written.
const rowGroup = 20_000

// parquetWriter hands rows over in small pieces.
type parquetWriter struct {
	w    *parquet.GenericWriter[Row]
	rows []Row
}

// NewParquet returns a writer of Parquet, compressed with Zstandard, in row groups of 20,000 rows.
func NewParquet(w io.Writer) Writer {
	return &parquetWriter{w: parquet.NewGenericWriter[Row](w, parquet.Compression(&zstd.Codec{}), parquet.MaxRowsPerRowGroup(rowGroup),
		parquet.CreatedBy("tboxgate", "", ""))}
}

func (p *parquetWriter) Write(r Row) error {
	p.rows = append(p.rows, r)
	if len(p.rows) < 256 {
		return nil
	}
	return p.flush()
}

func (p *parquetWriter) flush() error {
	_, err := p.w.Write(p.rows)
	clear(p.rows)
	p.rows = p.rows[:0]
	return err
}

func (p *parquetWriter) Close() error {
	if err := p.flush(); err != nil {
		return err
	}
	return p.w.Close()
}
